// The kernels as a library for the CPU; tests/emulator/library.py builds and loads it.

#include "shim.h"
#include "kernels.cu"

EMULATED(network_input, InputJob)
EMULATED(share_of_chosen, ShareJob)
EMULATED(matte, MatteJob)
EMULATED(labels, LabelsJob)
EMULATED(resize_codes, CodesJob)
EMULATED(average_codes, CodesJob)
EMULATED(smooth_codes, CodesJob)
EMULATED(look_up, TableJob)
EMULATED(gauss_across, GaussJob)
EMULATED(gauss_down, GaussJob)
EMULATED(echo, EchoJob)
EMULATED(shrink, ShrinkJob)
EMULATED(blur_across, BlurJob)
EMULATED(blur_down, BlurJob)
EMULATED(blend, BlendJob)
EMULATED(veil, VeilJob)
EMULATED(transparency, ClearJob)
