#include "mul_wgmma.cuh"

WEIGHT_KERNELS(q6_k, Q6_K)
WGMMA_KERNEL(q6_k, Q6_K)
