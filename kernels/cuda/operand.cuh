// Activations as products take them: float16 in the order of weights.cuh, and beside them the float32 sums of each 16.
#pragma once
#include "device.cuh"

// in_block is the place of value k of a block of 32.
DEVICE int in_block(int k) { return 8 * (k % 16 / 4) + 4 * (k / 16) + k % 4; }

// LIMIT is the largest float16: activations beyond it are clamped.
constexpr float LIMIT = 65504;

DEVICE uint16_t activation(float v) { return f32_to_f16(v > LIMIT ? LIMIT : v < -LIMIT ? -LIMIT : v); } // NaN stays

// Operand is where activations go. The sum of 16 is that of neighbours, of pairs of these, and so on, so that one thread, four lanes
// or sixteen get the same bits.
struct Operand {
	uint16_t* x; // [rows][k]
	float* sums; // [rows][k/16]
	int k;
};

// place is that of value k of a row.
DEVICE uint16_t* place(const Operand& o, int row, int k) { return o.x + (int64_t)row * o.k + k / 32 * 32 + in_block(k % 32); }

DEVICE float* place_sum(const Operand& o, int row, int k) { return o.sums + (int64_t)row * (o.k / 16) + k / 16; }

// four rounds the values from k on, a multiple of 4, stores them if real says so, and gives their sum.
DEVICE float four(const Operand& o, int row, int k, const float (&v)[4], bool real) {
	uint16_t h[4];
#pragma unroll
	for (int i = 0; i < 4; i++) h[i] = activation(v[i]);
	uint2 pair;
	pair.x = pack2(h[0], h[1]), pair.y = pack2(h[2], h[3]);
	if (real) st8(place(o, row, k), pair);
	return (f16_to_f32(h[0]) + f16_to_f32(h[1])) + (f16_to_f32(h[2]) + f16_to_f32(h[3]));
}

// store16 stores the values from k on, a multiple of 16.
DEVICE void store16(const Operand& o, int row, int k, const float (&v)[16]) {
	float sum[4];
#pragma unroll
	for (int t = 0; t < 4; t++) {
		const float part[4] = {v[4 * t], v[4 * t + 1], v[4 * t + 2], v[4 * t + 3]};
		sum[t] = four(o, row, k + 4 * t, part, true);
	}
	*place_sum(o, row, k) = (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

// store4 is that of a lane with the four values from k on; its neighbours have those beside them. All lanes of the warp call it.
DEVICE void store4(const Operand& o, int row, int k, const float (&v)[4], bool real) {
	float sum = four(o, row, k, v, real);
	sum += shfl_xor(sum, 1);
	sum += shfl_xor(sum, 2);
	if (real && k % 16 == 0) *place_sum(o, row, k) = sum;
}

// store1 is that of a lane with value k, lane%16 = k%16.
DEVICE void store1(const Operand& o, int row, int k, float v, bool real) {
	uint16_t h = activation(v);
	float sum = f16_to_f32(h);
#pragma unroll
	for (int m = 1; m < 16; m *= 2) sum += shfl_xor(sum, m);
	if (!real) return;
	*place(o, row, k) = h;
	if (k % 16 == 0) *place_sum(o, row, k) = sum;
}

// swiglu is silu(gate)·up.
DEVICE float swiglu(float gate, float up) { return gate / (1 + expf(-gate)) * up; }
