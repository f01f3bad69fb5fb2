"""The real kernels compiled for the CPU, and a `pycuda.driver` as strict as the real one."""
