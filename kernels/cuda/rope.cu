#include "attend.cuh"

struct RopeStore {
	const float *q, *k, *v; // [rows][heads·dim], [rows][kvHeads·dim] twice
	const float* angles;    // [rows][pairs][cos, sin]
	const int *pos, *table, *pages; // [rows] position, [rows] where the row's page table begins in pages
	const int* count;               // of rows
	uint16_t* out;                  // [rows][heads·dim] float16, each head in the order of in_block
	uint8_t* kv;                    // the layer's pages
	int heads, kv_heads, dim, pairs, q8;
};

// rope_store rotates q and k and writes k and v to their pages. Grid: rows. A warp takes 32 values of a head.
KERNEL_BOUNDS(rope_store, RopeStore, 256, 1) {
	griddep_wait();
	if (bid_x() >= *p.count) return;
	int row = bid_x(), blocks = p.dim / 32, pos = p.pos[row];
	int half = head_bytes(p.dim, p.q8);
	uint8_t* page = p.kv + ((int64_t)p.pages[p.table[row] + pos / PAGE] * p.kv_heads) * 2 * half;
	for (int i = warp(); i < (p.heads + 2 * p.kv_heads) * blocks; i += block_dim() / 32) {
		int head = i / blocks, b = i % blocks, d = 32 * b + lane();
		bool value = head >= p.heads + p.kv_heads;
		float v;
		if (head < p.heads) v = p.q[((int64_t)row * p.heads + head) * p.dim + d];
		else if (!value) v = p.k[((int64_t)row * p.kv_heads + head - p.heads) * p.dim + d];
		else v = p.v[((int64_t)row * p.kv_heads + head - p.heads - p.kv_heads) * p.dim + d];
		float other = shfl_xor(v, 1);
		if (!value && d / 2 < p.pairs) {
			const float* angle = p.angles + ((int64_t)row * p.pairs + d / 2) * 2;
			v = d % 2 ? fmaf(other, angle[1], v * angle[0]) : fmaf(-other, angle[1], v * angle[0]);
		}
		if (head < p.heads) {
			p.out[((int64_t)row * p.heads + head) * p.dim + 32 * b + in_block(lane())] = activation(v);
			continue;
		}
		uint8_t* to = page + ((head - p.heads) % p.kv_heads * 2 + value) * half;
		int at = value ? d * PAGE + in_page(pos % PAGE) : pos % PAGE * p.dim + 32 * b + in_block(lane());
		if (!p.q8) {
			((uint16_t*)to)[at] = activation(v);
			continue;
		}
		float most = warp_max(fabsf(v)), scale = most / 127;
		((int8_t*)to)[at] = (int8_t)(most > 0 ? rintf(v / scale) : 0.0f);
		int of = value ? b * PAGE + pos % PAGE : pos % PAGE * blocks + b;
		if (lane() == 0) ((uint16_t*)(to + PAGE * p.dim))[of] = activation(scale);
	}
	griddep_launch();
}
