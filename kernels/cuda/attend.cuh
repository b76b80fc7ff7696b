// The KV cache's layout, and attention.
//
// A layer's page holds for each KV head the keys [32 positions][head_dim], then the values [head_dim][32 positions], so that
// each product finds what it sums over side by side: values along head_dim in the order of in_block, positions in that of
// in_page. KVQ8 has int8 in place of float16, and behind each part its float16 scales: keys [32 positions][head_dim/32], values
// [head_dim/32][32 positions in order].
#pragma once
#include "operand.cuh"

constexpr int PAGE = 32, KEYS = 64, SEGMENT = 512; // positions in a page, in a warp's turn, in a block's

// in_page is the place of a position of a page: lane t of an m16n8k16 takes four pairs of positions, 2t, 8+2t, 16+2t, 24+2t.
DEVICE int in_page(int pos) { return 8 * (pos % 8 / 2) + 2 * (pos / 8) + pos % 2; }

// head_bytes are those of one head's keys in a page; its values take as many.
DEVICE int head_bytes(int dim, int q8) { return q8 ? PAGE * dim + PAGE * dim / 32 * 2 : PAGE * dim * 2; }

// unpack8 makes float16 of eight int8.
DEVICE uint4 unpack8(uint2 v) {
	uint4 r;
	v.x ^= 0x80808080, v.y ^= 0x80808080;
	r.x = f16x2_add(byte_perm(v.x, 0x64006400, 0x5150), 0xe480e480);
	r.y = f16x2_add(byte_perm(v.x, 0x64006400, 0x5352), 0xe480e480);
	r.z = f16x2_add(byte_perm(v.y, 0x64006400, 0x5150), 0xe480e480);
	r.w = f16x2_add(byte_perm(v.y, 0x64006400, 0x5352), 0xe480e480);
	return r;
}

constexpr float NONE = -3.0e38f; // below every score, and its differences are finite

// rescale adds the maximum and sum of exp of more positions to those of a state, and gives the factors of the outputs of before and now.
DEVICE void rescale(float most, float add, float& m, float& sum, float& before, float& now) {
	float top = fmaxf(m, most);
	before = fast_exp(m - top), now = fast_exp(most - top);
	sum = fmaf(sum, before, add * now);
	m = top;
}

// merge is rescale with one value of the output.
DEVICE void merge(float most, float add, float value, float& m, float& sum, float& o) {
	float before, now;
	rescale(most, add, m, sum, before, now);
	o = fmaf(o, before, value * now);
}
