// Rotary positions, and how keys and values come into the cache.
#pragma once
#include "attend.cuh"

struct Rope {
	const float* angles;            // [rows][pairs][cos, sin]
	const int *pos, *table, *pages; // [rows] position, [rows] where the row's page table begins in pages
	uint16_t* q;                    // [rows][heads·dim] float16, each head in the order of in_block
	uint8_t* kv;                    // the layer's pages
	int heads, kv_heads, dim, pairs, q8, pad;
};

enum Which { IS_Q, IS_K, IS_V };

// rotate turns value i of a row of q or k, of which other is the second of its pair.
DEVICE float rotate(const Rope& p, int row, int i, float v, float other) {
	int d = i % p.dim;
	if (d / 2 >= p.pairs) return v;
	const float* angle = p.angles + ((int64_t)row * p.pairs + d / 2) * 2;
	return d % 2 ? fmaf(other, angle[1], v * angle[0]) : fmaf(-other, angle[1], v * angle[0]);
}

// cached is where a head's keys or values lie in the page of a row.
DEVICE uint8_t* cached(const Rope& p, Which which, int row, int head) {
	int64_t page = p.pages[p.table[row] + p.pos[row] / PAGE];
	return p.kv + ((page * p.kv_heads + head) * 2 + (which == IS_V)) * head_bytes(p.dim, p.q8);
}

// store stores value i of a row of q, k or v as float16.
DEVICE void store(const Rope& p, Which which, int row, int i, float v) {
	int head = i / p.dim, d = i % p.dim, ordered = d / 32 * 32 + in_block(d % 32);
	if (which == IS_Q) {
		p.q[(int64_t)row * p.heads * p.dim + head * p.dim + ordered] = activation(v);
		return;
	}
	int at = p.pos[row] % PAGE;
	((uint16_t*)cached(p, which, row, head))[which == IS_V ? d * PAGE + in_page(at) : at * p.dim + ordered] = activation(v);
}

// store_q8 stores value i of a row of k or v as int8, where most is the largest of its block of 32.
DEVICE void store_q8(const Rope& p, Which which, int row, int i, float v, float most) {
	int d = i % p.dim, blocks = p.dim / 32, at = p.pos[row] % PAGE;
	uint8_t* to = cached(p, which, row, i / p.dim);
	float scale = most / 127;
	((int8_t*)to)[which == IS_V ? d * PAGE + in_page(at) : at * p.dim + d / 32 * 32 + in_block(d % 32)] = (int8_t)(most > 0 ? rintf(v / scale) : 0.0f);
	if (d % 32 == 0) ((uint16_t*)(to + PAGE * p.dim))[which == IS_V ? d / 32 * PAGE + at : at * blocks + d / 32] = activation(scale);
}
