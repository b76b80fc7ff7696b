#include "mul.cuh"

WEIGHT_KERNELS(iq4_nl, IQ4_NL)
