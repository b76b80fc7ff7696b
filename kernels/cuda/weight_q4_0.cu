#include "mul.cuh"

WEIGHT_KERNELS(q4_0, Q4_0)
