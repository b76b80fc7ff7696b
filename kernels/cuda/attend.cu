#include "attend.cuh"

struct Attend {
	const uint16_t* q; // [rows][heads][dim], as rope_store left it
	const uint8_t* kv; // the layer's pages
	const int *pos, *table, *pages;
	const int* items;  // pairs: first row and number of rows of one sequence; attend: at most 16/group, attend_many: 8 times that
	const int* count;  // of items
	float* partial;    // attend: [items from item0 on][per][heads][segments][2+dim]: maximum, sum of exp, output
	Operand out;       // attend_many, and attend of one segment
	int heads, kv_heads, segments, item0, per; // per: most rows of an item
	float scale; // 1/√dim
};

// Rows are the lane's two rows of a product: pairs of a batch's row and a head that share a KV head, from row `first` on.
struct Rows {
	const uint16_t* q[2];
	int pos[2]; // -1 for padding
	int last;   // position of the last row
};

template <int DIM>
DEVICE Rows open_rows(const Attend& p, int first, int rows, int kv_head) {
	Rows r;
	int group = p.heads / p.kv_heads;
	r.last = rows > 0 ? p.pos[first + rows - 1] : -1;
#pragma unroll
	for (int i = 0; i < 2; i++) {
		int pair = (lane() >> 2) + 8 * i, row = pair / group;
		bool real = row < rows;
		r.pos[i] = real ? p.pos[first + row] : -1;
		r.q[i] = p.q + ((int64_t)(real ? first + row : first) * p.heads + kv_head * group + pair % group) * DIM + 8 * (lane() & 3);
	}
	return r;
}

template <int DIM, bool Q8>
struct Cache {
	static constexpr int HALF = Q8 ? PAGE * DIM + PAGE * DIM / 16 : PAGE * DIM * 2; // a head's keys in a page, or its values
};

// keys is where 16 bytes of a key begin, for position `at` of a page and the eight values of lane t in block b. In shared memory rows
// of 64 values or more lie in all banks: odd ones have the halves of their 128 bytes swapped, so that eight lanes read all.
template <int DIM, bool SHARED_PAGES>
DEVICE int key_offset(int at, int chunk) { return at * DIM * 2 + 16 * (SHARED_PAGES && DIM % 64 == 0 ? chunk ^ at % 2 * 4 : chunk); }

// attend_tile gives the scores of KEYS positions from start on, their softmax as maximum and sum of exp, and through out(n, o) the
// output's values 8n+2t and the next, of rows g and g+8. It is the only place where a query meets a key, so that all kernels
// give the same bits.
template <int DIM, bool Q8, bool SHARED_PAGES, class Out>
DEVICE void attend_tile(const Rows& r, const uint8_t* const (&page)[2], int start, float scale, float (&most)[2], float (&sum)[2], Out out) {
	constexpr int HALF = Cache<DIM, Q8>::HALF;
	int g = lane() >> 2, t = lane() & 3, last = r.last;
	float s[8][4];
#pragma unroll
	for (int i = 0; i < 32; i++) (&s[0][0])[i] = 0;
#pragma unroll
	for (int b = 0; b < DIM / 32; b++) {
		uint4 u = ld16(r.q[0] + 32 * b), v = ld16(r.q[1] + 32 * b);
		const uint32_t a0[4] = {u.x, v.x, u.y, v.y}, a1[4] = {u.z, v.z, u.w, v.w};
#pragma unroll
		for (int n = 0; n < 8; n++) {
			if (start + 8 * n > last) continue;
			const uint8_t* keys = page[n / 4];
			int at = n % 4 * 8 + g; // position in the page
			if constexpr (Q8) {
				uint4 k = unpack8(ld8(keys + at * DIM + 32 * b + 8 * t));
				const uint32_t b0[2] = {k.x, k.y}, b1[2] = {k.z, k.w};
				float d[4] = {0, 0, 0, 0};
				mma_m16n8k16_f16(d, a0, b0);
				mma_m16n8k16_f16(d, a1, b1);
				const uint16_t* scales = (const uint16_t*)(keys + PAGE * DIM) + (n % 4 * 8 + 2 * t) * (DIM / 32) + b;
				float x = f16_to_f32(scales[0]), y = f16_to_f32(scales[DIM / 32]);
				s[n][0] = fmaf(d[0], x, s[n][0]), s[n][1] = fmaf(d[1], y, s[n][1]);
				s[n][2] = fmaf(d[2], x, s[n][2]), s[n][3] = fmaf(d[3], y, s[n][3]);
			} else {
				uint4 k = ld16(keys + key_offset<DIM, SHARED_PAGES>(at, 4 * b + t));
				const uint32_t b0[2] = {k.x, k.y}, b1[2] = {k.z, k.w};
				mma_m16n8k16_f16(s[n], a0, b0);
				mma_m16n8k16_f16(s[n], a1, b1);
			}
		}
	}
	most[0] = most[1] = NONE, sum[0] = sum[1] = 0;
#pragma unroll
	for (int n = 0; n < 8; n++)
#pragma unroll
		for (int i = 0; i < 4; i++) {
			s[n][i] = start + 8 * n + 2 * t + i % 2 <= r.pos[i / 2] ? s[n][i] * scale : NONE;
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
		out(n, o);
	}
}

// attend is causal attention over a segment of positions, for generation. Its eight warps take KEYS positions each of up to 16 pairs
// of row and head, then their states are merged in the order of positions. Grid: items, KV heads, segments. Block: 256.
template <int DIM, bool Q8>
DEVICE void attend(const Attend& p) {
	SHARED_DYNAMIC(float, states); // [8 warps][16 rows][2+DIM]
	constexpr int STATE = DIM + 2;
	griddep_launch();
	griddep_wait();
	int item = p.item0 + bid_x();
	if (item >= *p.count) return;
	int first = p.items[2 * item], rows = p.items[2 * item + 1], kv_head = bid_y(), group = p.heads / p.kv_heads;
	Rows r = open_rows<DIM>(p, first, rows, kv_head);
	int start = bid_z() * SEGMENT + warp() * KEYS;
	if (bid_z() * SEGMENT > r.last) return;
	int g = lane() >> 2, t = lane() & 3;
	float* state = states + (warp() * 16 + g) * STATE; // of row g
	if (start <= r.last) {
		const uint8_t* page[2];
#pragma unroll
		for (int i = 0; i < 2; i++) {
			int at = (start + PAGE * i <= r.last ? start + PAGE * i : start) / PAGE;
			page[i] = p.kv + ((int64_t)p.pages[p.table[first] + at] * p.kv_heads + kv_head) * 2 * Cache<DIM, Q8>::HALF;
		}
		float most[2], sum[2];
		attend_tile<DIM, Q8, false>(r, page, start, p.scale, most, sum, [&](int n, const float(&o)[4]) {
#pragma unroll
			for (int i = 0; i < 4; i++) state[i / 2 * 8 * STATE + 2 + 8 * n + 2 * t + i % 2] = o[i];
		});
		if (t == 0) {
#pragma unroll
			for (int i = 0; i < 2; i++) state[i * 8 * STATE] = most[i], state[i * 8 * STATE + 1] = sum[i];
		}
	}
	sync_threads();

	int turns = (r.last - bid_z() * SEGMENT) / KEYS + 1;
	if (turns > 8) turns = 8;
	if (p.segments == 1) { // what combine would do
		for (int i = tid(); i < rows * group * (DIM / 16); i += block_dim()) {
			int pair = i / (DIM / 16), d = i % (DIM / 16) * 16;
			float m = NONE, sum = 0, before, now, v[16];
#pragma unroll
			for (int j = 0; j < 16; j++) v[j] = 0;
			for (int w = 0; w < turns; w++) {
				const float* from = states + (w * 16 + pair) * STATE;
				rescale(from[0], from[1], m, sum, before, now);
#pragma unroll
				for (int j = 0; j < 16; j++) v[j] = fmaf(v[j], before, from[2 + d + j] * now);
			}
			float all_m = NONE, all_sum = 0;
			rescale(m, sum, all_m, all_sum, before, now);
#pragma unroll
			for (int j = 0; j < 16; j++) v[j] = fmaf(0, before, v[j] * now) / all_sum;
			store16(p.out, first + pair / group, (kv_head * group + pair % group) * DIM + d, v);
		}
		return;
	}
	for (int i = tid(); i < rows * group * DIM; i += block_dim()) {
		int pair = i / DIM, d = i % DIM;
		float m = NONE, sum = 0, o = 0;
		for (int w = 0; w < turns; w++) {
			const float* from = states + (w * 16 + pair) * STATE;
			merge(from[0], from[1], from[2 + d], m, sum, o);
		}
		float* to = p.partial + (((int64_t)(bid_x() * p.per + pair / group) * p.heads + kv_head * group + pair % group) * p.segments + bid_z()) * STATE;
		if (d == 0) to[0] = m, to[1] = sum;
		to[2 + d] = o;
	}
}

// attend_many is attention for prompts. Its eight warps have 16 pairs of row and head each, of one sequence and KV head, and go through
// all positions together: KEYS of them lie in shared memory while the next come. Grid: items, KV heads. Block: 256.
template <int DIM, bool Q8>
DEVICE void attend_many(const Attend& p) {
	SHARED_DYNAMIC(uint8_t, shared);
	constexpr int HALF = Cache<DIM, Q8>::HALF, STATE = DIM + 4; // rows of a state begin in different banks
	float* total = (float*)shared + warp() * 16 * STATE;            // [16 rows][DIM]: the output of the segments so far
	uint8_t* ring = shared + 8 * 16 * STATE * 4;                    // [2][2 pages][2·HALF]
	griddep_launch();
	griddep_wait();
	if (bid_x() >= *p.count) return;
	int group = p.heads / p.kv_heads, per = 16 / group, kv_head = bid_y(), all = p.items[2 * bid_x() + 1];
	int block_first = p.items[2 * bid_x()], last = p.pos[block_first + all - 1], table = p.table[block_first];
	int rows = all - warp() * per;
	rows = rows < 0 ? 0 : rows > per ? per : rows;
	int first = rows > 0 ? block_first + warp() * per : block_first;
	Rows r = open_rows<DIM>(p, first, rows, kv_head);
	int g = lane() >> 2, t = lane() & 3;

	auto fetch = [&](int tile) {
#pragma unroll
		for (int i = 0; i < 2; i++) {
			int start = tile * KEYS + i * PAGE;
			if (start > last) continue;
			const uint8_t* from = p.kv + ((int64_t)p.pages[table + start / PAGE] * p.kv_heads + kv_head) * 2 * HALF;
			uint8_t* to = ring + (tile % 2 * 2 + i) * 2 * HALF;
			for (int c = tid(); c < 2 * HALF / 16; c += 256) {
				int at = 16 * c;
				if (!Q8 && at < HALF) at = key_offset<DIM, true>(c / (DIM / 8), c % (DIM / 8));
				cp_async16(to + at, from + 16 * c);
			}
		}
		cp_async_commit();
	};
	float* mine = total + g * STATE + 2 * t; // the lane's values of row g: 8n and 8n+1, and of row g+8
	float m[2] = {NONE, NONE}, sum[2] = {0, 0}, o[DIM / 8][4], total_m[2] = {NONE, NONE}, total_sum[2] = {0, 0};
#pragma unroll
	for (int i = 0; i < DIM / 8 * 4; i++) {
		(&o[0][0])[i] = 0;
		mine[i % 4 / 2 * 8 * STATE + i / 4 * 8 + i % 2] = 0;
	}
	fetch(0);
	int tiles = last / KEYS + 1;
	for (int tile = 0; tile < tiles; tile++) {
		cp_async_wait<0>();
		sync_threads(); // the tile is there for all, and all are done with the one before
		if (tile + 1 < tiles) fetch(tile + 1);
		if (tile * KEYS > r.last) continue;
		const uint8_t* const page[2] = {ring + tile % 2 * 4 * HALF, ring + (tile % 2 * 2 + 1) * 2 * HALF};
		float most[2], add[2], before[2], now[2];
		attend_tile<DIM, Q8, true>(r, page, tile * KEYS, p.scale, most, add, [&](int n, const float(&v)[4]) {
			if (n == 0) {
#pragma unroll
				for (int i = 0; i < 2; i++) rescale(most[i], add[i], m[i], sum[i], before[i], now[i]);
			}
#pragma unroll
			for (int i = 0; i < 4; i++) o[n][i] = fmaf(o[n][i], before[i / 2], v[i] * now[i / 2]);
		});
		if ((tile + 1) % (SEGMENT / KEYS) != 0 && (tile + 1) * KEYS <= r.last) continue;
#pragma unroll
		for (int i = 0; i < 2; i++) rescale(m[i], sum[i], total_m[i], total_sum[i], before[i], now[i]);
#pragma unroll
		for (int n = 0; n < DIM / 8; n++)
#pragma unroll
			for (int i = 0; i < 4; i++) {
				float& to = mine[i / 2 * 8 * STATE + 8 * n + i % 2];
				to = fmaf(to, before[i / 2], o[n][i] * now[i / 2]);
				o[n][i] = 0;
			}
		m[0] = m[1] = NONE, sum[0] = sum[1] = 0;
	}
	float* sums = (float*)ring + warp() * 16; // no tile is needed any more
	sync_threads();
	if (t == 0) sums[g] = total_sum[0], sums[g + 8] = total_sum[1];
	sync_warp();
	for (int i = lane(); i < rows * group * (DIM / 16); i += 32) {
		int pair = i / (DIM / 16), d = i % (DIM / 16) * 16;
		float v[16];
#pragma unroll
		for (int j = 0; j < 16; j++) v[j] = total[pair * STATE + d + j] / sums[pair];
		store16(p.out, first + pair / group, (kv_head * group + pair % group) * DIM + d, v);
	}
}

struct Combine {
	const float* partial;
	const int *pos, *items, *count;
	Operand out;
	int heads, dim, segments, item0, per;
};

// combine merges the segments of each row of the items from item0 on, in order. Grid: items, per.
KERNEL_BOUNDS(combine, Combine, 256, 1) {
	griddep_launch();
	griddep_wait();
	int item = p.item0 + bid_x();
	if (item >= *p.count || bid_y() >= p.items[2 * item + 1]) return;
	int row = p.items[2 * item] + bid_y();
	int segments = p.pos[row] / SEGMENT + 1, state = p.dim + 2;
	for (int group = tid(); 16 * group < p.heads * p.dim; group += block_dim()) {
		int head = 16 * group / p.dim, d = 16 * group % p.dim;
		const float* from = p.partial + ((int64_t)(bid_x() * p.per + bid_y()) * p.heads + head) * p.segments * state;
		float v[16];
#pragma unroll
		for (int i = 0; i < 16; i++) {
			float m = NONE, sum = 0, o = 0;
			for (int j = 0; j < segments; j++) merge(from[j * state], from[j * state + 1], from[j * state + 2 + d + i], m, sum, o);
			v[i] = o / sum;
		}
		store16(p.out, row, 16 * group, v);
	}
}

#define ATTEND_KERNELS(dim)                                                           \
	KERNEL_BOUNDS(attend_##dim, Attend, 256, 1) { attend<dim, false>(p); }            \
	KERNEL_BOUNDS(attend_q8_##dim, Attend, 256, 1) { attend<dim, true>(p); }          \
	KERNEL_BOUNDS(attend_many_##dim, Attend, 256, 1) { attend_many<dim, false>(p); }  \
	KERNEL_BOUNDS(attend_many_q8_##dim, Attend, 256, 1) { attend_many<dim, true>(p); }

ATTEND_KERNELS(32)
ATTEND_KERNELS(64)
ATTEND_KERNELS(96)
ATTEND_KERNELS(128)
