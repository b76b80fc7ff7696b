#include "mul.cuh"

WEIGHT_KERNELS(iq4_xs, IQ4_XS)
