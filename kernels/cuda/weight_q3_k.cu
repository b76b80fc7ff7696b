#include "mul.cuh"

WEIGHT_KERNELS(q3_k, Q3_K)
