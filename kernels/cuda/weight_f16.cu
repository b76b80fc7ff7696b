#include "mul_wgmma.cuh"

WEIGHT_KERNELS(f16, F16)
WGMMA_KERNEL(f16, F16)
