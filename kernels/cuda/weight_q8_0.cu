#include "mul_wgmma.cuh"

WEIGHT_KERNELS(q8_0, Q8_0)
WGMMA_KERNEL(q8_0, Q8_0)
