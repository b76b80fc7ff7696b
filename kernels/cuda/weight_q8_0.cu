#include "mul.cuh"

WEIGHT_KERNELS(q8_0, Q8_0)
