#include "mul.cuh"

WEIGHT_KERNELS(q5_0, Q5_0)
