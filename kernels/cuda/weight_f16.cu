#include "mul.cuh"

WEIGHT_KERNELS(f16, F16)
