// The product for prompts on tensor cores that only sm_90a has. A warp has 16 rows, as their values lie in its registers, and 128 tokens:
// what it adds up, and in which order, is as in mul_many, so that where the hardware's two products round alike the bits are the same.
#pragma once
#include "mul.cuh"

#if SM90A

// mul_wgmma: a block of 8 warps has 128 rows and 128 tokens. Activations come through a ring in shared memory, 64 values along k at a
// time, in the order in which wgmma takes them, which is not that of memory; weights through two buffers of one record for each warp,
// which the copy engine fills. Grid: row tiles / 8, tokens / 128.
template <class F>
DEVICE void mul_wgmma(const Mul& p) {
	SHARED_DYNAMIC(uint8_t, shared);
	float* total = (float*)shared + tid(); // [64][threads]: the sum of the parts so far
	uint8_t* ring = shared + 64 * 256 * 4;
	uint8_t* weights = ring + MANY_STAGES * (MANY_X + MANY_SUMS);             // [2][8][record]
	uint64_t* arrival = (uint64_t*)(weights + 2 * 8 * F::Bytes) + 2 * warp(); // [8][2]: mbarriers of the warp's buffers
	static_assert(F::Bytes % 16 == 0, "the copy engine moves 16 bytes at least");
	int g = lane() >> 2, t = lane() & 3;
	griddep_launch();
	griddep_wait();
	int tokens = *p.tokens, token0 = bid_y() * MANY_TOKENS, records = p.k / F::K, steps = p.k / MANY_K;
	if (token0 >= tokens) return;

	auto fetch_x = [&](int step) {
		uint8_t* stage = ring + step % MANY_STAGES * (MANY_X + MANY_SUMS);
		if (step < steps) {
#pragma unroll
			for (int i = 0; i < 4; i++) {
				// 16 bytes are of lane c%4 in block c/4: pairs of k for both halves of two products, which take them 16 bytes apart.
				int token = tid() / 8 + 32 * i, c = tid() % 8;
				const uint16_t* from = p.x + (int64_t)(token0 + token) * p.k + step * MANY_K + 8 * c;
#pragma unroll
				for (int j = 0; j < 4; j++)
					cp_async4(stage + 128 * token + 16 * ((c / 4 * 4 + j) ^ token % 8) + 4 * (c % 4), from + 2 * j, token0 + token < tokens);
			}
			if (F::Offset && tid() < MANY_TOKENS)
				cp_async16(stage + MANY_X + 16 * tid(), p.sums + (int64_t)(token0 + tid()) * (p.k / 16) + step * MANY_K / 16, token0 + tid() < tokens);
		}
	};
	int tile = bid_x() * 8 + warp(), inside = tile, m = find(p, inside);
	auto fetch_w = [&](int r) {
		if (r >= records || m == MATRICES || lane() != 0) return;
		mbarrier_expect(arrival + r % 2, F::Bytes);
		bulk_copy(weights + (r % 2 * 8 + warp()) * F::Bytes, p.w[m] + ((int64_t)inside * records + r) * F::Bytes, F::Bytes, arrival + r % 2);
	};

	float acc[16][4];
#pragma unroll
	for (int i = 0; i < 64; i++) (&acc[0][0])[i] = 0;
	int part = 0, end = records / p.parts; // of the part
	if (lane() == 0) {
		mbarrier_init(arrival), mbarrier_init(arrival + 1);
		mbarrier_fence();
	}
	sync_warp();
	fetch_w(0);
#pragma unroll
	for (int i = 0; i < MANY_STAGES - 1; i++) {
		fetch_x(i);
		cp_async_commit();
	}
	for (int r = 0; r < records; r++) {
		if (r == end) {
#pragma unroll
			for (int i = 0; i < 64; i++) {
				float& a = (&acc[0][0])[i];
				total[256 * i] = part ? total[256 * i] + a : a;
				a = 0;
			}
			part++;
			end = records * (part + 1) / p.parts;
		}
		Record<F> record;
#pragma unroll 1
		for (int step = 0; step < F::K / MANY_K; step++) {
			cp_async_wait<MANY_STAGES - 2>();
			fence_async();
			sync_threads(); // the stage is there for all, and all are done with the one before
			if (step == 0) fetch_w(r + 1);
			fetch_x(r * (F::K / MANY_K) + step + MANY_STAGES - 1);
			cp_async_commit();
			if (step == 0) {
				if (m < MATRICES) mbarrier_wait(arrival + r % 2, r / 2 % 2);
				open_record<F>(record, weights + (r % 2 * 8 + warp()) * F::Bytes);
			}
			const uint8_t* stage = ring + (r * (F::K / MANY_K) + step) % MANY_STAGES * (MANY_X + MANY_SUMS);
#pragma unroll 1
			for (int b = 0; b < 2; b++) {
				Block<F> block;
				open_block<F>(record, 2 * step + b, block);
				if constexpr (F::Kind == PER_ROW) {
					wgmma_begin();
					wgmma_n128(acc, block.a[0], stage, 2 * b, true);
					wgmma_n128(acc, block.a[1], stage, 2 * b + 1, true);
					wgmma_end();
				} else {
#pragma unroll
					for (int h = 0; h < (F::Halves ? 2 : 1); h++) {
						float s[16][4];
						wgmma_begin();
						wgmma_n128(s, block.a[h], stage, 2 * b + h, false);
						if constexpr (!F::Halves) wgmma_n128(s, block.a[1], stage, 2 * b + 1, true);
						wgmma_end();
#pragma unroll
						for (int n = 0; n < 16; n++) {
							float2 u, v; // sums of tokens 2t and 2t+1
							if constexpr (F::Offset) {
								const float* sums = (const float*)(stage + MANY_X) + 4 * (8 * n + 2 * t) + 2 * b;
								u = ld_float2(sums), v = ld_float2(sums + 4);
							}
#pragma unroll
							for (int i = 0; i < 4; i++) {
								acc[n][i] = fmaf(block.scale[h][i / 2], s[n][i], acc[n][i]);
								if constexpr (F::Offset && F::Halves) acc[n][i] = fmaf(block.offset[h][i / 2], i % 2 ? (h ? v.y : v.x) : (h ? u.y : u.x), acc[n][i]);
								if constexpr (F::Offset && !F::Halves) acc[n][i] = fmaf(block.offset[0][i / 2], i % 2 ? v.x + v.y : u.x + u.y, acc[n][i]);
							}
						}
					}
				}
			}
		}
	}
	if (part) {
#pragma unroll
		for (int i = 0; i < 64; i++) (&acc[0][0])[i] = total[256 * i] + (&acc[0][0])[i];
	}
	token0 += 2 * t;
	if (p.end == GATE) { // a tile of up is the next warp's
#pragma unroll
		for (int i = 0; i < 64; i++) total[256 * i] = (&acc[0][0])[i];
		sync_threads();
		if (m != 0) return;
#pragma unroll
		for (int n = 0; n < 16; n++)
#pragma unroll
			for (int i = 0; i < 2; i++) {
				const float gate[2] = {acc[n][i], acc[n][i + 2]}, up[2] = {total[256 * (4 * n + i) + 32], total[256 * (4 * n + i + 2) + 32]};
				int token = token0 + 8 * n + i;
				gate_rows<F>(p, inside, token, token < tokens, gate, up);
			}
		return;
	}
	if (m == MATRICES) return;
#pragma unroll
	for (int n = 0; n < 16; n++)
#pragma unroll
		for (int i = 0; i < 4; i++) write<F>(p, m, inside * TILE + g + i / 2 * 8, token0 + 8 * n + i % 2, acc[n][i]);
}

#define WGMMA_KERNEL(name, F) KERNEL_BOUNDS(mul_wgmma_##name, Mul, 256, 1) { mul_wgmma<F>(p); }

#else
#define WGMMA_KERNEL(name, F)
#endif
