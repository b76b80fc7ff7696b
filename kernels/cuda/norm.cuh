// RMSNorm: x/√(mean(x²) + eps) · w, in an order of its sum that the length alone fixes: of each four values in turn, of 32 such by
// shuffles, then of these.
#pragma once
#include "operand.cuh"

constexpr int NORM_CHUNK = 128, NORM_CHUNKS = 256; // values that a warp adds up at once, and how often in a row at most

struct Norm {
	const float *x, *w; // [rows][n], [n]; n is a multiple of 32
	float* plain;       // float32 copy [rows][n] or null
	Operand out;
	int n;
	float eps;
};

// norm_row computes a row of x into a row of out; a whole block calls it, of any size.
DEVICE void norm_row(const Norm& p, int from, int to) {
	SHARED(float, chunks, NORM_CHUNKS);
	const float* x = p.x + (int64_t)from * p.n;
	int warps = block_dim() / 32, all = (p.n + NORM_CHUNK - 1) / NORM_CHUNK;
	auto load = [&](int chunk, float (&v)[4]) {
		int i = chunk * NORM_CHUNK + 4 * lane();
		uint4 u = {0, 0, 0, 0};
		if (i < p.n) u = ld_cg16(x + i);
		v[0] = bits_float(u.x), v[1] = bits_float(u.y), v[2] = bits_float(u.z), v[3] = bits_float(u.w);
	};
	sync_threads(); // an earlier row's sums have been read
	for (int c = warp(); c < all; c += warps) {
		float v[4];
		load(c, v);
		float sum = warp_sum(fmaf(v[3], v[3], fmaf(v[2], v[2], fmaf(v[1], v[1], v[0] * v[0]))));
		if (lane() == 0) chunks[c] = sum;
	}
	sync_threads();
	float sum = 0;
	for (int c = lane(); c < all; c += 32) sum += chunks[c];
	float r = 1 / sqrtf(warp_sum(sum) / (float)p.n + p.eps);
	for (int c = warp(); c < all; c += warps) {
		float v[4];
		load(c, v);
		int i = c * NORM_CHUNK + 4 * lane();
		uint4 w = {0, 0, 0, 0};
		if (i < p.n) w = ld_nc16(p.w + i);
		v[0] = v[0] * r * bits_float(w.x), v[1] = v[1] * r * bits_float(w.y), v[2] = v[2] * r * bits_float(w.z), v[3] = v[3] * r * bits_float(w.w);
		store4(p.out, to, i, v, i < p.n);
		if (p.plain && i < p.n) {
			uint4 u;
			u.x = float_bits(v[0]), u.y = float_bits(v[1]), u.z = float_bits(v[2]), u.w = float_bits(v[3]);
			st16(p.plain + (int64_t)to * p.n + i, u);
		}
	}
}
