// What limits generation on a card: reading memory, and starting kernels.
#include "device.cuh"

struct ProbeParams {
	const uint8_t* x;
	uint32_t* y;   // [blocks][threads]
	int64_t count; // of 16 bytes, a multiple of 4 times all threads
};

// Reads x once, 64 bytes of each thread in flight.
KERNEL_BOUNDS(probe_read, ProbeParams, 512, 4) {
	int64_t threads = (int64_t)grid_x() * block_dim(), me = (int64_t)bid_x() * block_dim() + tid();
	uint32_t s = 0;
	for (int64_t i = me; i < p.count; i += 4 * threads) {
		uint4 v[4];
#pragma unroll
		for (int j = 0; j < 4; j++) v[j] = ld_nc16(p.x + 16 * (i + j * threads));
#pragma unroll
		for (int j = 0; j < 4; j++) s ^= v[j].x ^ v[j].y ^ v[j].z ^ v[j].w;
	}
	p.y[me] = s;
}

struct EmptyParams {
	uint32_t* y;
};

KERNEL(probe_empty, EmptyParams) {
	griddep_launch();
	griddep_wait();
}
