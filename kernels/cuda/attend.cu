#include "attend.cuh"

struct Attend {
	const uint16_t* q; // [rows][heads][dim], as rope_store left it
	const uint8_t* kv; // the layer's pages
	float* partial;    // [rows][heads][segments][2+dim]: maximum, sum of exp, output
	const int *pos, *table, *pages;
	const int* items; // pairs: first row and number of rows of one sequence, at most 16/group
	const int* count; // of items
	int heads, kv_heads, segments;
	float scale; // 1/√dim
};

// attend is causal attention over a segment of positions. Its eight warps take KEYS positions each: scores of up to 16 pairs of row
// and head that share a KV head, softmax, output; then the warps' states are merged in the order of positions. So a row's result
// does not depend on its neighbours. Grid: items, KV heads, segments. Block: 256.
template <int DIM, bool Q8>
DEVICE void attend(const Attend& p) {
	SHARED_DYNAMIC(float, states); // [8 warps][16 rows][2+DIM]
	constexpr int STATE = DIM + 2;
	griddep_wait();
	if (bid_x() >= *p.count) return;
	int first = p.items[2 * bid_x()], rows = p.items[2 * bid_x() + 1], kv_head = bid_y(), group = p.heads / p.kv_heads;
	int last = p.pos[first + rows - 1], start = bid_z() * SEGMENT + warp() * KEYS;
	if (bid_z() * SEGMENT > last) return;
	int g = lane() >> 2, t = lane() & 3;
	float* state = states + warp() * 16 * STATE;

	if (start <= last) {
		constexpr int HALF = Q8 ? PAGE * DIM + PAGE * DIM / 16 : PAGE * DIM * 2;
		const uint8_t* page[2];
#pragma unroll
		for (int i = 0; i < 2; i++) {
			int at = (start + PAGE * i <= last ? start + PAGE * i : start) / PAGE;
			page[i] = p.kv + ((int64_t)p.pages[p.table[first] + at] * p.kv_heads + kv_head) * 2 * HALF;
		}
		int pos[2]; // of the lane's two rows, -1 for padding
		const uint16_t* q[2];
#pragma unroll
		for (int i = 0; i < 2; i++) {
			int pair = g + 8 * i, row = pair / group;
			pos[i] = row < rows ? p.pos[first + row] : -1;
			q[i] = p.q + ((int64_t)(first + (row < rows ? row : 0)) * p.heads + kv_head * group + pair % group) * DIM + 8 * t;
		}
		float s[8][4];
#pragma unroll
		for (int i = 0; i < 32; i++) (&s[0][0])[i] = 0;
#pragma unroll
		for (int b = 0; b < DIM / 32; b++) {
			uint4 u = ld16(q[0] + 32 * b), v = ld16(q[1] + 32 * b);
			const uint32_t a0[4] = {u.x, v.x, u.y, v.y}, a1[4] = {u.z, v.z, u.w, v.w};
#pragma unroll
			for (int n = 0; n < 8; n++) {
				if (start + 8 * n > last) continue;
				const uint8_t* keys = page[n / 4];
				int at = n % 4 * 8 + g; // position in the page
				if constexpr (Q8) {
					uint4 k = unpack8(ld8(keys + at * DIM + 32 * b + 8 * t));
					const uint32_t b0[2] = {k.x, k.y}, b1[2] = {k.z, k.w};
					float sum[4] = {0, 0, 0, 0};
					mma_m16n8k16_f16(sum, a0, b0);
					mma_m16n8k16_f16(sum, a1, b1);
					const uint16_t* scales = (const uint16_t*)(keys + PAGE * DIM) + (n % 4 * 8 + 2 * t) * (DIM / 32) + b;
					float x = f16_to_f32(scales[0]), y = f16_to_f32(scales[DIM / 32]);
					s[n][0] = fmaf(sum[0], x, s[n][0]), s[n][1] = fmaf(sum[1], y, s[n][1]);
					s[n][2] = fmaf(sum[2], x, s[n][2]), s[n][3] = fmaf(sum[3], y, s[n][3]);
				} else {
					uint4 k = ld16(keys + (at * DIM + 32 * b + 8 * t) * 2);
					const uint32_t b0[2] = {k.x, k.y}, b1[2] = {k.z, k.w};
					mma_m16n8k16_f16(s[n], a0, b0);
					mma_m16n8k16_f16(s[n], a1, b1);
				}
			}
		}
		float most[2] = {NONE, NONE}, sum[2] = {0, 0};
#pragma unroll
		for (int n = 0; n < 8; n++)
#pragma unroll
			for (int i = 0; i < 4; i++) {
				s[n][i] = start + 8 * n + 2 * t + i % 2 <= pos[i / 2] ? s[n][i] * p.scale : NONE;
				most[i / 2] = fmaxf(most[i / 2], s[n][i]);
			}
#pragma unroll
		for (int i = 0; i < 2; i++) {
			most[i] = fmaxf(most[i], shfl_xor(most[i], 1));
			most[i] = fmaxf(most[i], shfl_xor(most[i], 2));
		}
		uint32_t a[4][4]; // the probabilities, as operands of four products
#pragma unroll
		for (int n = 0; n < 8; n++) {
#pragma unroll
			for (int i = 0; i < 4; i++) {
				s[n][i] = s[n][i] == NONE ? 0 : fast_exp(s[n][i] - most[i / 2]);
				sum[i / 2] += s[n][i];
			}
			a[n / 2][n % 2 * 2] = f32_to_f16x2(s[n][0], s[n][1]);
			a[n / 2][n % 2 * 2 + 1] = f32_to_f16x2(s[n][2], s[n][3]);
		}
#pragma unroll
		for (int i = 0; i < 2; i++) {
			sum[i] += shfl_xor(sum[i], 1);
			sum[i] += shfl_xor(sum[i], 2);
			if (t == 0) {
				state[(g + 8 * i) * STATE] = most[i];
				state[(g + 8 * i) * STATE + 1] = sum[i];
			}
		}
		uint32_t keep[2][4]; // masks of what has been written, since a probability of 0 times NaN is NaN
#pragma unroll
		for (int i = 0; i < 8; i++) {
			int at = start + 32 * (i / 4) + 8 * (i % 4) + 2 * t;
			keep[i / 4][i % 4] = (at <= last ? 0xffffu : 0) | (at + 1 <= last ? 0xffff0000u : 0);
		}
#pragma unroll
		for (int n = 0; n < DIM / 8; n++) {
			float o[4] = {0, 0, 0, 0};
#pragma unroll
			for (int i = 0; i < 2; i++) {
				if (start + PAGE * i > last) continue;
				const uint8_t* values = page[i] + HALF;
				uint4 v;
				if constexpr (Q8) {
					v = unpack8(ld8(values + (8 * n + g) * PAGE + 8 * t));
					const uint8_t* scales = values + PAGE * DIM + n / 4 * PAGE * 2 + 4 * t;
					v.x = f16x2_mul(v.x, ld4(scales)), v.y = f16x2_mul(v.y, ld4(scales + 16));
					v.z = f16x2_mul(v.z, ld4(scales + 32)), v.w = f16x2_mul(v.w, ld4(scales + 48));
				} else {
					v = ld16(values + ((8 * n + g) * PAGE + 8 * t) * 2);
				}
				const uint32_t b0[2] = {v.x & keep[i][0], v.y & keep[i][1]}, b1[2] = {v.z & keep[i][2], v.w & keep[i][3]};
				mma_m16n8k16_f16(o, a[2 * i], b0);
				mma_m16n8k16_f16(o, a[2 * i + 1], b1);
			}
#pragma unroll
			for (int i = 0; i < 4; i++) state[(g + i / 2 * 8) * STATE + 2 + 8 * n + 2 * t + i % 2] = o[i];
		}
	}
	sync_threads();

	int turns = (last - bid_z() * SEGMENT) / KEYS + 1;
	if (turns > 8) turns = 8;
	for (int i = tid(); i < rows * group * DIM; i += block_dim()) {
		int pair = i / DIM, d = i % DIM;
		float m = NONE, sum = 0, o = 0;
		for (int w = 0; w < turns; w++) merge(states + (w * 16 + pair) * STATE, d, m, sum, o);
		float* to = p.partial + (((int64_t)(first + pair / group) * p.heads + kv_head * group + pair % group) * p.segments + bid_z()) * STATE;
		if (d == 0) to[0] = m, to[1] = sum;
		to[2 + d] = o;
	}
	griddep_launch();
}

struct Combine {
	const float* partial;
	uint16_t* out; // operand [rows][k]
	float* sums;
	const int *pos, *count; // [rows]; how many they are
	int heads, dim, segments, k;
};

// combine merges the segments of each row, in order. Grid: rows.
KERNEL_BOUNDS(combine, Combine, 256, 1) {
	griddep_wait();
	if (bid_x() >= *p.count) return;
	int row = bid_x(), segments = p.pos[row] / SEGMENT + 1, state = p.dim + 2;
	for (int group = tid(); 16 * group < p.heads * p.dim; group += block_dim()) {
		int head = 16 * group / p.dim, d = 16 * group % p.dim;
		const float* from = p.partial + ((int64_t)row * p.heads + head) * p.segments * state;
		float v[16];
#pragma unroll
		for (int i = 0; i < 16; i++) {
			float m = NONE, sum = 0, o = 0;
			for (int j = 0; j < segments; j++) merge(from + j * state, d + i, m, sum, o);
			v[i] = o / sum;
		}
		store_operand(p.out, p.sums, row, p.k, group, v);
	}
	griddep_launch();
}

#define ATTEND_KERNELS(dim)                                                         \
	KERNEL_BOUNDS(attend_##dim, Attend, 256, 1) { attend<dim, false>(p); }    \
	KERNEL_BOUNDS(attend_q8_##dim, Attend, 256, 1) { attend<dim, true>(p); }

ATTEND_KERNELS(32)
ATTEND_KERNELS(64)
ATTEND_KERNELS(96)
ATTEND_KERNELS(128)
