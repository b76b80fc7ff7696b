#include "rope.cuh"

struct RopeStore {
	const float *q, *k, *v; // [rows][heads·dim], [rows][kvHeads·dim] twice
	const int* count;       // of rows
	Rope rope;
};

// rope_store rotates q and k and writes k and v to their pages, where the product of q, k and v has not done it. Grid: rows,
// (heads + 2·kvHeads)·dim / 256. A warp takes 32 values of a head.
KERNEL_BOUNDS(rope_store, RopeStore, 256, 1) {
	griddep_launch();
	griddep_wait();
	if (bid_x() >= *p.count) return;
	const Rope& r = p.rope;
	int row = bid_x(), i = bid_y() * block_dim() + tid(), q = r.heads * r.dim, k = r.kv_heads * r.dim;
	if (i >= q + 2 * k) return; // a warp as a whole
	Which which = i < q ? IS_Q : i < q + k ? IS_K : IS_V;
	if (which != IS_Q) i -= which == IS_K ? q : q + k;
	float v = which == IS_Q ? p.q[(int64_t)row * q + i] : (which == IS_K ? p.k : p.v)[(int64_t)row * k + i];
	float other = shfl_xor(v, 1);
	if (which != IS_V) v = rotate(r, row, i, v, other);
	float most = warp_max(fabsf(v));
	if (which != IS_Q && r.q8) store_q8(r, which, row, i, v, most);
	else store(r, which, row, i, v);
}
