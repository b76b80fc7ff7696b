// Products of a weight with the rows of a batch, and what comes right after them. The kernels differ in how many tokens they are good
// for, not in their results: k is cut into `parts` ranges of records, each is summed in order from zero, then the parts are added in order.
#pragma once
#include "norm.cuh"
#include "rope.cuh"
#include "weights.cuh"

constexpr int MATRICES = 3; // that a launch may multiply with the same activations

// End is what becomes of the products.
enum End {
	STORE, // y = w·x
	ADD,   // y += w·x; by mul_few with norm.w, then the rows' RMSNorm
	GATE,  // of matrices gate and up, whose row tiles take turns: out = silu(gate·x)·(up·x)·factor
	ROPE   // of q, k and v, by mul_few: rotated, k and v into the cache
};

struct Mul {
	const uint8_t* w[MATRICES];   // records
	const float* scale[MATRICES]; // [rows] of formats that have a scale per row
	float* y[MATRICES];           // [tokens][rows]
	const uint16_t* x;            // [tokens][k] float16, k padded
	const float* sums;            // [tokens][k/16]
	const int* tokens;            // how many there are
	uint32_t* ended;              // of ADD with norm: how many blocks have, 0 at first
	Operand out;                  // of GATE
	Norm norm;                    // of ADD
	Rope rope;                    // of ROPE
	int rows[MATRICES];
	int tiles[MATRICES]; // row tiles
	int which[MATRICES]; // of ROPE: q, k or v
	int k, parts, end;
	float factor; // of y, a power of two: undoes that of x
};

// find gives the matrix of a launch's row tile and, in tile, its number there; MATRICES if there is none.
DEVICE int find(const Mul& p, int& tile) {
	int m = 0;
	if (p.end == GATE) {
		m = tile % 2;
		tile /= 2;
		return tile < p.tiles[0] ? m : MATRICES;
	}
	while (m < MATRICES && tile >= p.tiles[m]) tile -= p.tiles[m++];
	return m;
}

DEVICE float2 ld_float2(const float* p) {
	uint2 v = ld8(p);
	float2 f;
	f.x = bits_float(v.x), f.y = bits_float(v.y);
	return f;
}

// scaled is a product with its row's scale.
template <class F>
DEVICE float scaled(const Mul& p, int m, int row, float v) {
	if constexpr (F::Kind == PER_ROW) v *= row < p.rows[m] ? p.scale[m][row] : 0;
	return v;
}

template <class F>
DEVICE void write(const Mul& p, int m, int row, int token, float v) {
	if (row >= p.rows[m] || token >= *p.tokens) return;
	v = scaled<F>(p, m, row, v) * p.factor;
	float* y = p.y[m] + (int64_t)token * p.rows[m] + row;
	*y = p.end == ADD ? *y + v : v;
}

// gate_rows ends GATE for a token and the rows g and g+8 of a tile. All lanes call it, those of the same t with one token.
template <class F>
DEVICE void gate_rows(const Mul& p, int tile, int token, bool real, const float (&gate)[2], const float (&up)[2]) {
	int row = tile * TILE + (lane() >> 2);
	float sum[2];
	uint16_t h[2];
#pragma unroll
	for (int i = 0; i < 2; i++) {
		h[i] = activation(swiglu(scaled<F>(p, 0, row + 8 * i, gate[i]), scaled<F>(p, 1, row + 8 * i, up[i])) * p.factor);
		sum[i] = f16_to_f32(h[i]);
#pragma unroll
		for (int m = 4; m < 32; m *= 2) sum[i] += shfl_xor(sum[i], m);
	}
	if (!real) return;
	*place(p.out, token, row) = h[0], *place(p.out, token, row + 8) = h[1];
	if (lane() < 4) *place_sum(p.out, token, row) = sum[0] + sum[1];
}

constexpr int FEW_STAGES = 2;

// copy_record copies a record to shared memory by a warp, asynchronously.
template <class F>
DEVICE void copy_record(uint8_t* to, const uint8_t* from) {
#pragma unroll
	for (int i = 0; i < F::Bytes; i += 512)
		if (i + 16 * lane() < F::Bytes) cp_async16(to + i + 16 * lane(), from + i + 16 * lane());
}

// end_few adds the parts of a block's products, [parts][M][8·N tokens][16 rows], and does with the sums what the launch asks for: 16
// lanes in a row have the rows of a tile, for one token.
template <class F, int M, int N>
DEVICE void end_few(const Mul& p, const float* part, const int (&matrix)[M], const int (&tile)[M], int token0, int tokens) {
	for (int i = tid(); i < N * 128; i += block_dim()) {
		int token = token0 + i / 16, row[M];
		bool real = token < tokens;
		float v[M];
#pragma unroll
		for (int m = 0; m < M; m++) {
			v[m] = part[m * N * 128 + i];
			for (int j = 1; j < p.parts; j++) v[m] += part[(j * M + m) * N * 128 + i];
			row[m] = tile[m] * TILE + i % 16;
		}
		if (p.end == GATE) {
			if constexpr (M == 2) {
				if (matrix[0] == MATRICES) continue;
				store1(p.out, token, row[0], swiglu(scaled<F>(p, 0, row[0], v[0]), scaled<F>(p, 1, row[0], v[1])) * p.factor, real);
			}
		} else if (p.end == ROPE) {
			float most = 0;
#pragma unroll
			for (int m = 0; m < M; m++) {
				if (matrix[m] < MATRICES) v[m] = scaled<F>(p, matrix[m], row[m], v[m]);
				float other = shfl_xor(v[m], 1);
				if (real && matrix[m] < MATRICES && p.which[matrix[m]] != IS_V) v[m] = rotate(p.rope, token, row[m], v[m], other);
				most = fmaxf(most, fabsf(v[m]));
			}
#pragma unroll
			for (int j = 1; j < 16; j *= 2) most = fmaxf(most, shfl_xor(most, j));
#pragma unroll
			for (int m = 0; m < M; m++) {
				if (!real || matrix[m] == MATRICES) continue;
				Which which = (Which)p.which[matrix[m]];
				if (which != IS_Q && p.rope.q8) store_q8(p.rope, which, token, row[m], v[m], most); // M is 2: a block of 32
				else store(p.rope, which, token, row[m], v[m]);
			}
		} else {
#pragma unroll
			for (int m = 0; m < M; m++)
				if (matrix[m] < MATRICES) write<F>(p, matrix[m], row[m], token, v[m]);
		}
	}
	if (p.end != ADD || !p.norm.w) return;
	// The block that ends last has all rows before it.
	SHARED(int, last, 1);
	thread_fence();
	sync_threads();
	if (tid() == 0) *last = atomic_add(p.ended, 1u) == (uint32_t)(grid_x() * grid_y() - 1);
	sync_threads();
	if (!*last) return;
	thread_fence();
	for (int row = 0; row < tokens; row++) norm_row(p.norm, row, row);
	if (tid() == 0) *p.ended = 0;
}

// mul_few is for few tokens: a block has M row tiles (2 for GATE, and for ROPE with a cache of int8) and up to 8·N tokens, each warp one part of k, whose records stream through
// a ring in shared memory. Grid: row tiles / M, tokens / 8N. Block: 32·parts.
template <class F, int M, int N>
DEVICE void mul_few(const Mul& p) {
	SHARED_DYNAMIC(uint8_t, ring);
	constexpr int STAGE = M * F::Bytes;
	uint8_t* stages = ring + warp() * FEW_STAGES * STAGE;
	int g = lane() >> 2, t = lane() & 3;
	int records = p.k / F::K, first = records * warp() / p.parts, last = records * (warp() + 1) / p.parts;
	const uint8_t* w[M];
	int matrix[M], tile[M];
	griddep_launch();
#pragma unroll
	for (int m = 0; m < M; m++) {
		tile[m] = bid_x() * M + m;
		matrix[m] = find(p, tile[m]);
		w[m] = matrix[m] < MATRICES ? p.w[matrix[m]] + (int64_t)tile[m] * records * F::Bytes : p.w[0];
	}
	auto fetch = [&](int r) {
		if (r < last) {
#pragma unroll
			for (int m = 0; m < M; m++) copy_record<F>(stages + (r - first) % FEW_STAGES * STAGE + m * F::Bytes, w[m] + (int64_t)r * F::Bytes);
		}
		cp_async_commit();
	};
#pragma unroll
	for (int i = 0; i < FEW_STAGES - 1; i++) fetch(first + i);

	griddep_wait();
	int tokens = *p.tokens, token0 = bid_y() * 8 * N;
	// What comes next of token g, and of tokens 2t and 2t+1: rows of padding have sums too, see layout.operand.
	const uint16_t* x_at = p.x + (int64_t)(token0 + g) * p.k + first * F::K + 8 * t;
	const float* sums_at = p.sums + (int64_t)(token0 + 2 * t) * (p.k / 16) + first * F::K / 16;
	const float* sums_next = sums_at + p.k / 16;
	float acc[M][N][4];
#pragma unroll
	for (int i = 0; i < M * N * 4; i++) (&acc[0][0][0])[i] = 0;
	if (token0 < tokens) {
		for (int r = first; r < last; r++) {
			fetch(r + FEW_STAGES - 1);
			cp_async_wait<FEW_STAGES - 1>();
			sync_warp();
			const uint8_t* stage = stages + (r - first) % FEW_STAGES * STAGE;
			Record<F> record[M];
#pragma unroll
			for (int m = 0; m < M; m++) open_record<F>(record[m], stage + m * F::Bytes);
#pragma unroll(M * N > 1 ? 1 : 2)
			for (int b = 0; b < F::Blocks; b++) {
				Block<F> block[M];
#pragma unroll
				for (int m = 0; m < M; m++) open_block<F>(record[m], b, block[m]);
#pragma unroll
				for (int n = 0; n < N; n++) {
					uint4 x = {0, 0, 0, 0};
					if (token0 + 8 * n + g < tokens) x = ld16(x_at + 8 * n * p.k);
					float2 sums[2];
					if constexpr (F::Offset) {
						float2 u = ld_float2(sums_at + 8 * n * (p.k / 16)), v = ld_float2(sums_next + 8 * n * (p.k / 16));
						sums[0].x = u.x, sums[0].y = v.x, sums[1].x = u.y, sums[1].y = v.y;
					}
#pragma unroll
					for (int m = 0; m < M; m++) add_block<F>(acc[m][n], block[m], x, sums);
				}
				x_at += 32, sums_at += 2, sums_next += 2;
			}
			sync_warp(); // all lanes have read the stage that the next fetch overwrites
		}
	}
	cp_async_wait<0>();
	sync_threads();

	// The ring now holds the parts' sums: [parts][M][N][8 tokens][16 rows].
	float* part = (float*)ring;
#pragma unroll
	for (int m = 0; m < M; m++)
#pragma unroll
		for (int n = 0; n < N; n++)
#pragma unroll
			for (int i = 0; i < 4; i++) part[(((warp() * M + m) * N + n) * 8 + 2 * t + i % 2) * 16 + g + i / 2 * 8] = acc[m][n][i];
	sync_threads();
	end_few<F, M, N>(p, part, matrix, tile, token0, tokens);
}

constexpr int MANY_ROWS = 128, MANY_TOKENS = 128, MANY_K = 64, MANY_STAGES = 3;
constexpr int MANY_X = MANY_TOKENS * MANY_K * 2, MANY_SUMS = MANY_TOKENS * MANY_K / 16 * 4; // bytes of a stage

// mul_many is for prompts: a block of 8 warps has 128 rows and 128 tokens, a warp 32 and 64. Activations come through a ring in
// shared memory, 64 values along k at a time; weights through two buffers of one record each. Grid: row tiles / 8, tokens / 128.
template <class F>
DEVICE void mul_many(const Mul& p) {
	SHARED_DYNAMIC(uint8_t, shared);
	float* total = (float*)shared + tid(); // [64][threads]: the sum of the parts so far
	uint8_t* ring = shared + 64 * 256 * 4;
	uint8_t* weights = ring + MANY_STAGES * (MANY_X + MANY_SUMS); // [2][8][record]
	int g = lane() >> 2, t = lane() & 3, wm = warp() % 4, wn = warp() / 4;
	griddep_launch();
	griddep_wait();
	int tokens = *p.tokens, token0 = bid_y() * MANY_TOKENS, records = p.k / F::K, steps = p.k / MANY_K;
	if (token0 >= tokens) return;

	auto fetch_x = [&](int step) { // 128 tokens: 8 times 16 bytes of activations, 16 of sums
		uint8_t* stage = ring + step % MANY_STAGES * (MANY_X + MANY_SUMS);
		if (step < steps) {
#pragma unroll
			for (int i = 0; i < 4; i++) {
				int token = tid() / 8 + 32 * i, c = tid() % 8;
				// Rows of 128 bytes lie in all banks: odd ones have their halves swapped, so that eight lanes read all.
				cp_async16(stage + 128 * token + 16 * (c ^ token % 2 * 4), p.x + (int64_t)(token0 + token) * p.k + step * MANY_K + 8 * c, token0 + token < tokens);
			}
			if (F::Offset && tid() < MANY_TOKENS)
				cp_async16(stage + MANY_X + 16 * tid(), p.sums + (int64_t)(token0 + tid()) * (p.k / 16) + step * MANY_K / 16, token0 + tid() < tokens);
		}
	};
	auto fetch_w = [&](int r) { // each warp one of the 8 row tiles
		int tile = bid_x() * 8 + warp(), m = find(p, tile);
		if (r < records && m < MATRICES) copy_record<F>(weights + (r % 2 * 8 + warp()) * F::Bytes, p.w[m] + ((int64_t)tile * records + r) * F::Bytes);
	};

	float acc[2][8][4];
#pragma unroll
	for (int i = 0; i < 64; i++) (&acc[0][0][0])[i] = 0;
	int part = 0, end = records / p.parts; // of the part
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
				float& a = (&acc[0][0][0])[i];
				total[256 * i] = part ? total[256 * i] + a : a;
				a = 0;
			}
			part++;
			end = records * (part + 1) / p.parts;
		}
		Record<F> record[2];
#pragma unroll 1
		for (int step = 0; step < F::K / MANY_K; step++) {
			cp_async_wait<(F::K == MANY_K ? 0 : MANY_STAGES - 2)>(); // a record of one step was asked for in the step before
			sync_threads(); // the stage is there for all, and all are done with the one before
			if (step == 0) fetch_w(r + 1);
			fetch_x(r * (F::K / MANY_K) + step + MANY_STAGES - 1);
			cp_async_commit();
			if (step == 0) {
#pragma unroll
				for (int m = 0; m < 2; m++) open_record<F>(record[m], weights + (r % 2 * 8 + wm * 2 + m) * F::Bytes);
			}
			const uint8_t* stage = ring + (r * (F::K / MANY_K) + step) % MANY_STAGES * (MANY_X + MANY_SUMS);
#pragma unroll 1
			for (int h = 0; h < 2; h++) {
				Block<F> block[2];
#pragma unroll
				for (int m = 0; m < 2; m++) open_block<F>(record[m], 2 * step + h, block[m]);
#pragma unroll
				for (int n = 0; n < 8; n++) {
					int token = wn * 64 + n * 8;
					uint4 x = ld16(stage + 128 * (token + g) + 16 * ((4 * h + t) ^ g % 2 * 4));
					float2 sums[2];
					if constexpr (F::Offset) {
						const float* s = (const float*)(stage + MANY_X) + 4 * (token + 2 * t) + 2 * h;
						float2 u = ld_float2(s), v = ld_float2(s + 4);
						sums[0].x = u.x, sums[0].y = v.x, sums[1].x = u.y, sums[1].y = v.y;
					}
#pragma unroll
					for (int m = 0; m < 2; m++) add_block<F>(acc[m][n], block[m], x, sums);
				}
			}
		}
	}
	if (part) {
#pragma unroll
		for (int i = 0; i < 64; i++) (&acc[0][0][0])[i] = total[256 * i] + (&acc[0][0][0])[i];
	}
	int tile[2], which[2];
#pragma unroll
	for (int m = 0; m < 2; m++) {
		tile[m] = bid_x() * 8 + wm * 2 + m;
		which[m] = find(p, tile[m]);
	}
	token0 += wn * 64 + 2 * t;
#pragma unroll
	for (int n = 0; n < 8; n++) {
		if (p.end == GATE) {
#pragma unroll
			for (int i = 0; i < 2; i++) {
				const float gate[2] = {acc[0][n][i], acc[0][n][i + 2]}, up[2] = {acc[1][n][i], acc[1][n][i + 2]};
				int token = token0 + n * 8 + i;
				gate_rows<F>(p, tile[0], token, token < tokens && which[0] < MATRICES, gate, up);
			}
			continue;
		}
#pragma unroll
		for (int m = 0; m < 2; m++)
#pragma unroll
			for (int i = 0; i < 4; i++)
				if (which[m] < MATRICES) write<F>(p, which[m], tile[m] * TILE + g + i / 2 * 8, token0 + n * 8 + i % 2, acc[m][n][i]);
	}
}

struct Embed {
	const uint8_t* w; // records
	const float* scale;
	const int *ids, *last, *count; // [rows], -1-slot for what the slot sampled last; [slots]; how many rows there are
	float* x;                      // [rows][hidden]
	int hidden, k;
};

// embed looks rows up: y[i] = w[id]. Grid: rows. Each warp decodes the records of the row's tile and keeps the one row.
template <class F>
DEVICE void embed(const Embed& p) {
	griddep_launch();
	griddep_wait();
	if (bid_x() >= *p.count) return;
	int id = p.ids[bid_x()];
	if (id < 0) id = p.last[-1 - id];
	if (id < 0) id = 0; // nothing could be drawn; the host ends the sequence when it hears of that
	int records = p.k / F::K, t = lane() & 3, row = id % TILE;
	float* x = p.x + (int64_t)bid_x() * p.hidden;
	for (int r = warp(); r < records; r += block_dim() / 32) {
		Record<F> record;
		open_record<F>(record, p.w + ((int64_t)(id / TILE) * records + r) * F::Bytes);
		for (int b = 0; b < F::Blocks; b++) {
			Block<F> block;
			open_block<F>(record, b, block);
			if (lane() >> 2 != row % 8) continue;
#pragma unroll
			for (int i = 0; i < 8; i++) { // half of the block, pair, one of it
				int h = i / 4, pair = i / 2 % 2 * 2, k = r * F::K + 32 * b + 16 * h + 4 * t + i % 4;
				float v = f16_to_f32((uint16_t)((row < 8 ? block.a[h][pair] : block.a[h][pair + 1]) >> 16 * (i % 2)));
				if constexpr (F::Kind == PER_ROW) {
					if constexpr (F::Low == 32) v += f16_to_f32((uint16_t)((row < 8 ? block.low[h][pair] : block.low[h][pair + 1]) >> 16 * (i % 2)));
					v *= p.scale[id];
				} else {
					v *= block.scale[F::Halves ? h : 0][row / 8];
					if constexpr (F::Offset) v += block.offset[F::Halves ? h : 0][row / 8];
				}
				if (k < p.hidden) x[k] = v;
			}
		}
	}
}

#define WEIGHT_KERNELS(name, F)                                         \
	KERNEL_BOUNDS(embed_##name, Embed, 256, 1) { embed<F>(p); }         \
	KERNEL_BOUNDS(mul_8_##name, Mul, 256, 2) { mul_few<F, 1, 1>(p); }   \
	KERNEL_BOUNDS(mul_8x2_##name, Mul, 256, 2) { mul_few<F, 2, 1>(p); } \
	KERNEL_BOUNDS(mul_32_##name, Mul, 256, 1) { mul_few<F, 2, 4>(p); }  \
	KERNEL_BOUNDS(mul_many_##name, Mul, 256, 1) { mul_many<F>(p); }
