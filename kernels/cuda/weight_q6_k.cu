#include "mul.cuh"

WEIGHT_KERNELS(q6_k, Q6_K)
