#include "mul.cuh"

WEIGHT_KERNELS(q5_k, Q5_K)
