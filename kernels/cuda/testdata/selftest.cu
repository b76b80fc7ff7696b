// Kernels for the tests of the driver's binding and of the simulated driver.
#include "device.cuh"

struct AddParams {
	float* y;
	const float* x;
	float a;
	int n;
};

// y += a·x
KERNEL(selftest_add, AddParams) {
	int i = bid_x() * block_dim() + tid();
	if (i < p.n) p.y[i] = fmaf(p.a, p.x[i], p.y[i]);
}

struct SumParams {
	float* y;       // [blocks]
	const float* x; // [blocks][block_dim]
	int barrier;    // 0: without the barrier that it needs
	int beyond;     // elements beyond the shared array to write to
};

// A block's sum, through shared memory.
KERNEL(selftest_sum, SumParams) {
	SHARED(float, part, 32);
	float s = warp_sum(p.x[bid_x() * block_dim() + tid()]);
	if (lane() == 0) part[warp() + p.beyond] = s;
	if (p.barrier) sync_threads();
	if (warp() == 0) {
		s = warp_sum(lane() < block_dim() / 32 ? part[lane()] : 0.0f);
		if (lane() == 0) p.y[bid_x()] = s;
	}
}

struct WrongParams {
	float* y;
	int64_t at; // where to write, in elements
	int what;
};

KERNEL(selftest_wrong, WrongParams) {
	switch (p.what) {
	case 0: // outside of an allocation, perhaps
		if (tid() == 0) p.y[p.at] = 1;
		break;
	case 1: // the warp diverges
		if (lane() < 16) sync_warp();
		else p.y[tid()] = warp_sum(1.0f);
		break;
	case 2: // a barrier for more threads than come to it
		sync_named(1, block_dim() + 32);
		break;
	case 3: // a vector that is not aligned
		p.y[0] = bits_float(ld16(p.y + 1).x);
		break;
	}
}

struct GridParams {
	uint32_t* state; // of the barrier
	uint32_t* y;     // [blocks]
	int rounds;
};

// Each block adds up all blocks' numbers of the round before.
KERNEL(selftest_grid, GridParams) {
	for (int r = 0; r < p.rounds; r++) {
		uint32_t s = 0;
		if (tid() == 0)
			for (int i = 0; i < grid_x(); i++) s += ld_volatile(p.y + i);
		sync_grid(p.state);
		if (tid() == 0) p.y[bid_x()] = s;
		sync_grid(p.state);
	}
}

struct MmaParams {
	float* d;           // [16][8]
	int* di;            // [16][8]
	const uint16_t* a;  // [16][16]
	const uint16_t* b;  // [8][16], that is B's columns
	const int8_t* ai;   // [16][32]
	const int8_t* bi;   // [8][32]
	int bf16, copies;   // copies: through cp_async and ldmatrix
};

// One warp's products of a·b, added to d.
KERNEL(selftest_mma, MmaParams) {
	SHARED(uint16_t, sa, 16 * 16);
	SHARED(uint16_t, sb, 8 * 16);
	int g = lane() / 4, t = lane() % 4;
	uint32_t a[4], b[2];
	if (p.copies) {
		cp_async16(sa + 8 * lane(), p.a + 8 * lane());
		if (lane() < 16) cp_async16(sb + 8 * lane(), p.b + 8 * lane(), true);
		cp_async_commit();
		cp_async_wait<0>();
		sync_warp();
		ldmatrix_x4(a, sa + (lane() & 15) * 16 + (lane() >> 4) * 8);
		ldmatrix_x2(b, sb + (lane() & 7) * 16 + (lane() >> 3 & 1) * 8);
	} else {
		for (int i = 0; i < 4; i++) a[i] = ld4(p.a + (g + 8 * (i & 1)) * 16 + 2 * t + 8 * (i >> 1));
		for (int i = 0; i < 2; i++) b[i] = ld4(p.b + g * 16 + 2 * t + 8 * i);
	}
	float d[4] = {p.d[g * 8 + 2 * t], p.d[g * 8 + 2 * t + 1], p.d[(g + 8) * 8 + 2 * t], p.d[(g + 8) * 8 + 2 * t + 1]};
	if (p.bf16) mma_m16n8k16_bf16(d, a, b);
	else mma_m16n8k16_f16(d, a, b);
	int di[4] = {1, 2, 3, 4};
	for (int i = 0; i < 4; i++) a[i] = ld4(p.ai + (g + 8 * (i & 1)) * 32 + 4 * t + 16 * (i >> 1));
	for (int i = 0; i < 2; i++) b[i] = ld4(p.bi + g * 32 + 4 * t + 16 * i);
	mma_m16n8k32_s8(di, a, b);
	for (int i = 0; i < 4; i++) {
		p.d[(g + 8 * (i >> 1)) * 8 + 2 * t + (i & 1)] = d[i];
		p.di[(g + 8 * (i >> 1)) * 8 + 2 * t + (i & 1)] = di[i];
	}
}

#if SM90A

struct BulkParams {
	float* y;       // [rounds][32]
	const float* x; // [rounds][32]
	int rounds;
	int to, from, size, announced, parity; // what is wrong, added to what is right
	int unmade, unfenced, unawaited;
};

// One warp brings rounds of 32 numbers through two buffers.
KERNEL(selftest_bulk, BulkParams) {
	SHARED(uint8_t, buffer, 3 * 128);
	SHARED(uint64_t, arrival, 2);
	if (lane() == 0 && !p.unmade) {
		mbarrier_init(arrival), mbarrier_init(arrival + 1);
		if (!p.unfenced) mbarrier_fence();
	}
	sync_warp();
	auto fetch = [&](int r) {
		if (r >= p.rounds || lane() != 0) return;
		mbarrier_expect(arrival + r % 2, 128 + p.announced);
		bulk_copy(buffer + r % 2 * 128 + p.to, (const uint8_t*)(p.x + 32 * r) + p.from, 128 + p.size, arrival + r % 2);
	};
	fetch(0);
	for (int r = 0; r < p.rounds; r++) {
		fetch(r + 1);
		if (!p.unawaited) mbarrier_wait(arrival + r % 2, (r / 2 + p.parity) % 2);
		p.y[32 * r + lane()] = ((const float*)(buffer + r % 2 * 128))[lane()];
		fence_async();
		sync_warp(); // all have read what the next fetch overwrites
	}
}

#endif
