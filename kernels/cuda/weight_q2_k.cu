#include "mul.cuh"

WEIGHT_KERNELS(q2_k, Q2_K)
