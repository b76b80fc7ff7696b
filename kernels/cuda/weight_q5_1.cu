#include "mul.cuh"

WEIGHT_KERNELS(q5_1, Q5_1)
