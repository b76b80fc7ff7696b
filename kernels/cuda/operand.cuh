// Activations as products take them: float16 in the order of weights.cuh, and beside them the float32 sums of each 16.
#pragma once
#include "device.cuh"

// in_block is the place of value k of a block of 32.
DEVICE int in_block(int k) { return 8 * (k % 16 / 4) + 4 * (k / 16) + k % 4; }

// LIMIT is the largest float16: activations beyond it are clamped.
constexpr float LIMIT = 65504;

DEVICE uint16_t activation(float v) { return f32_to_f16(v > LIMIT ? LIMIT : v < -LIMIT ? -LIMIT : v); } // NaN stays

// store_operand writes values 16·group … 16·group+15 of a row of k values.
DEVICE void store_operand(uint16_t* x, float* sums, int row, int k, int group, const float (&v)[16]) {
	uint16_t* to = x + (int64_t)row * k + group / 2 * 32 + group % 2 * 4;
	float sum = 0;
#pragma unroll
	for (int t = 0; t < 4; t++) {
		uint16_t h[4];
#pragma unroll
		for (int i = 0; i < 4; i++) {
			h[i] = activation(v[4 * t + i]);
			sum += f16_to_f32(h[i]);
		}
		uint2 pair;
		pair.x = pack2(h[0], h[1]), pair.y = pack2(h[2], h[3]);
		st8(to + 8 * t, pair);
	}
	sums[(int64_t)row * (k / 16) + group] = sum;
}
