#include "mul.cuh"

WEIGHT_KERNELS(q4_k, Q4_K)
