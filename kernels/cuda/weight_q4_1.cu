#include "mul.cuh"

WEIGHT_KERNELS(q4_1, Q4_1)
