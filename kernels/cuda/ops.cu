// The small operations between products. Each row of the batch is computed alone, in an order that its length fixes.
#include "operand.cuh"

// block_sum adds v over a block of at most 1024 threads; all get the same bits.
DEVICE float block_sum(float v) {
	SHARED(float, warps, 32);
	v = warp_sum(v);
	sync_threads();
	if (lane() == 0) warps[warp()] = v;
	sync_threads();
	float sum = warps[0];
	for (int i = 1; i < block_dim() / 32; i++) sum += warps[i];
	return sum;
}

struct Norm {
	const float *x, *w; // [rows][n], [n]
	const int* index;   // rows of x to take; null: all
	const int* count;   // of rows: the grid may have more blocks
	uint16_t* out;      // operand [rows][k]
	float* sums;
	float* plain; // float32 copy [rows][n] or null
	int n, k;
	float eps;
};

// rms_norm is RMSNorm: x/√(mean(x²) + eps) · w. Grid: rows.
KERNEL_BOUNDS(rms_norm, Norm, 256, 1) {
	griddep_wait();
	int row = bid_x();
	if (row >= *p.count) return;
	const float* x = p.x + (int64_t)(p.index ? p.index[row] : row) * p.n;
	float sum = 0;
	for (int i = tid(); i < p.n; i += block_dim()) sum = fmaf(x[i], x[i], sum);
	float r = 1 / sqrtf(block_sum(sum) / (float)p.n + p.eps);
	for (int group = tid(); 16 * group < p.n; group += block_dim()) {
		float v[16];
#pragma unroll
		for (int i = 0; i < 16; i++) {
			int j = 16 * group + i;
			v[i] = 0;
			if (j < p.n) {
				v[i] = x[j] * r * p.w[j];
				if (p.plain) p.plain[(int64_t)row * p.n + j] = v[i];
			}
		}
		store_operand(p.out, p.sums, row, p.k, group, v);
	}
	griddep_launch();
}

struct SwiGLU {
	const float *gate, *up; // [rows][n]
	const int* count;       // of rows
	uint16_t* out;          // operand [rows][k]
	float* sums;
	int n, k;
	float factor; // of the result, which is not bounded as float16 is
};

// swiglu is silu(gate)·up. Grid: rows.
KERNEL_BOUNDS(swiglu, SwiGLU, 256, 1) {
	griddep_wait();
	int row = bid_x();
	if (row >= *p.count) return;
	const float *gate = p.gate + (int64_t)row * p.n, *up = p.up + (int64_t)row * p.n;
	for (int group = tid(); 16 * group < p.n; group += block_dim()) {
		float v[16];
#pragma unroll
		for (int i = 0; i < 16; i++) {
			int j = 16 * group + i;
			v[i] = 0;
			if (j < p.n) v[i] = gate[j] / (1 + expf(-gate[j])) * up[j] * p.factor;
		}
		store_operand(p.out, p.sums, row, p.k, group, v);
	}
	griddep_launch();
}

struct Rotations {
	const double* freq; // [pairs] angle per position
	const int *pos, *count; // [rows]; how many they are
	float* out;         // [rows][pairs][cos, sin]
	int pairs;
};

// rotations computes each row's rotary angles. They reach 131072 radians, so they are reduced in float64. Grid: rows.
KERNEL(rotations, Rotations) {
	griddep_wait();
	if (bid_x() >= *p.count) return;
	for (int i = tid(); i < p.pairs; i += block_dim()) {
		constexpr double turn = 6.283185307179586477;
		double angle = p.freq[i] * (double)p.pos[bid_x()];
		float r = (float)fma(-rint(angle / turn), turn, angle);
		float* out = p.out + ((int64_t)bid_x() * p.pairs + i) * 2;
		out[0] = cosf(r);
		out[1] = sinf(r);
	}
	griddep_launch();
}
