// The small operations between products. Each row of the batch is computed alone, in an order that its length fixes.
#include "norm.cuh"

struct Norms {
	Norm norm;
	const int* index; // rows of x to take; null: all
	const int* count; // of rows: the grid may have more blocks
};

// rms_norm: grid: rows.
KERNEL_BOUNDS(rms_norm, Norms, 1024, 1) {
	griddep_launch();
	griddep_wait();
	int row = bid_x();
	if (row >= *p.count) return;
	norm_row(p.norm, p.index ? p.index[row] : row, row);
}

struct SwiGLU {
	const float *gate, *up; // [rows][n], n a multiple of 32
	const int* count;       // of rows
	Operand out;
	int n;
	float factor; // of the result, which is not bounded as float16 is
};

// swiglu, where the product of gate and up has not done it. Grid: rows, n / 1024. Block: 256.
KERNEL_BOUNDS(swiglu, SwiGLU, 256, 1) {
	griddep_launch();
	griddep_wait();
	int row = bid_x(), at = (bid_y() * block_dim() + tid()) * 4;
	if (row >= *p.count) return;
	float v[4] = {0, 0, 0, 0};
	bool real = at < p.n;
	if (real) {
		uint4 g = ld16(p.gate + (int64_t)row * p.n + at), u = ld16(p.up + (int64_t)row * p.n + at);
		v[0] = swiglu(bits_float(g.x), bits_float(u.x)) * p.factor, v[1] = swiglu(bits_float(g.y), bits_float(u.y)) * p.factor;
		v[2] = swiglu(bits_float(g.z), bits_float(u.z)) * p.factor, v[3] = swiglu(bits_float(g.w), bits_float(u.w)) * p.factor;
	}
	store4(p.out, row, at, v, real);
}

struct Rotations {
	const double* freq; // [pairs] angle per position
	const int *pos, *count; // [rows]; how many they are
	float* out;         // [rows][pairs][cos, sin]
	int pairs;
};

// rotations computes each row's rotary angles. They reach 131072 radians, so they are reduced in float64. Grid: rows.
KERNEL(rotations, Rotations) {
	griddep_launch();
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
}
