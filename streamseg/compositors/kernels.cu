// The arithmetic of the GPU path, one translation unit. Every thread makes one sample and shares nothing with others.
//
// Plain CUDA C++ without any header, so that NVRTC needs none; tests/emulator compiles it as ordinary C++. Every
// kernel takes one struct by value, a "job", which streamseg/gpu/jobs.py describes to numpy field by field. Rounding
// is that of the CPU path, which defines what is computed: compile with --fmad=false, or sums differ in their last bit.

#include "kernels/plane.cuh"
#include "kernels/sampling.cuh"
#include "kernels/input.cuh"
#include "kernels/scores.cuh"
#include "kernels/matte.cuh"
#include "kernels/blur.cuh"
#include "kernels/blend.cuh"
