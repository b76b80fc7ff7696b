#include "mul.cuh"

WEIGHT_KERNELS(f32, F32)
