#include "mul_wgmma.cuh"

WEIGHT_KERNELS(q4_k, Q4_K)
WGMMA_KERNEL(q4_k, Q4_K)
