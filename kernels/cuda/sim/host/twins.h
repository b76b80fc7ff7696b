// Host twins of device.cuh, for the simulated driver. The comments there hold here; what is said here is how they differ.
#pragma once

#include "grid.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#define SM90A 1 // in twins of what only hardware of that kind has

#define KERNEL(name, Params)                                                                                          \
	static void name(const Params& p);                                                                                \
	static sim::Kernel name##_kernel(#name, sizeof(Params), [](const void* p) { name(*(const Params*)p); });          \
	static void name(const Params& p)
#define KERNEL_BOUNDS(name, Params, threads, blocks) KERNEL(name, Params)
#define DEVICE static inline
#define CONSTANT_TABLE static const

#define SHARED(type, name, count)  \
	static const char name##_site = 0; \
	type* const name = (type*)sim::shared_array(&name##_site, sizeof(type) * (count))
#define SHARED_DYNAMIC(type, name) type* const name = (type*)sim::shared_dynamic()

struct alignas(8) uint2 { uint32_t x, y; };
struct alignas(16) uint4 { uint32_t x, y, z, w; };
struct alignas(8) int2 { int x, y; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
DEVICE uint2 make_uint2(uint32_t x, uint32_t y) { return {x, y}; }
DEVICE uint4 make_uint4(uint32_t x, uint32_t y, uint32_t z, uint32_t w) { return {x, y, z, w}; }
DEVICE int2 make_int2(int x, int y) { return {x, y}; }
DEVICE int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
DEVICE float2 make_float2(float x, float y) { return {x, y}; }
DEVICE float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

using std::max;
using std::min;

DEVICE int tid() { return sim::current->tid; }
DEVICE int lane() { return sim::current->lane; }
DEVICE int warp() { return sim::current->tid >> 5; }
DEVICE int block_dim() { return sim::grid.threads; }
DEVICE int bid_x() { return sim::current->block->x; }
DEVICE int bid_y() { return sim::current->block->y; }
DEVICE int bid_z() { return sim::current->block->z; }
DEVICE int grid_x() { return sim::grid.x; }
DEVICE int grid_y() { return sim::grid.y; }
DEVICE int grid_z() { return sim::grid.z; }

namespace sim {
// A lane that comes to another operation than the lanes before it has diverged, which hardware does not forgive.
enum Kind { kSync = 1, kShfl, kBallot, kSum, kMax, kMmaF16, kMmaBf16, kMmaS8, kLdmatrix };

// exchange gives all 32 lanes' values.
template <class T>
inline const T* exchange(int kind, T v) {
	T* slot = (T*)current->warp->slot[current->warp->parity];
	slot[current->lane] = v;
	if (meet(kind)) release();
	return slot;
}

template <class T>
inline T reduce(int kind, T v, T (*f)(T, T)) {
	T* slot = (T*)current->warp->slot[current->warp->parity];
	slot[current->lane] = v;
	if (meet(kind)) {
		for (int m = 16; m; m >>= 1) // lanes m apart, as the shuffles do; lane 0 sees what all see, since a+b = b+a
			for (int i = 0; i < m; i++) slot[i] = f(slot[i], slot[i + m]);
		release();
	}
	return slot[0];
}

inline void aligned(const void* p, size_t n, const char* what) {
	if (((uintptr_t)p & (n - 1)) != 0) fail("%s of the address %p, which is not a multiple of %zu", what, p, n);
}
} // namespace sim

DEVICE void sync_threads() { sim::wait_barrier(0, sim::grid.threads); }
DEVICE void sync_warp() {
	if (sim::meet(sim::kSync)) sim::release();
}
DEVICE void sync_named(int id, int threads) { sim::wait_barrier(id, threads); }
DEVICE void thread_fence() {}

DEVICE void sync_grid(uint32_t* state) {
	if (!sim::grid.cooperative) sim::fail("sync_grid in a launch that is not cooperative");
	sync_threads();
	if (tid() == 0) {
		uint32_t blocks = grid_x() * grid_y() * grid_z();
		uint32_t add = (bid_x() | bid_y() | bid_z()) == 0 ? 0x80000000u - (blocks - 1) : 1;
		uint32_t before = *state;
		*state += add;
		while (((before ^ *(volatile uint32_t*)state) & 0x80000000u) == 0) sim::yield();
	}
	sync_threads();
}

DEVICE void griddep_wait() {}
DEVICE void griddep_launch() {}

template <class T>
static inline T shfl_xor(T v, int mask) { return sim::exchange(sim::kShfl, v)[(lane() ^ mask) & 31]; }
template <class T>
static inline T shfl_down(T v, int by) {
	const T* all = sim::exchange(sim::kShfl, v);
	return lane() + by < 32 ? all[lane() + by] : v;
}
template <class T>
static inline T shfl_up(T v, int by) {
	const T* all = sim::exchange(sim::kShfl, v);
	return lane() >= by ? all[lane() - by] : v;
}
template <class T>
static inline T shfl(T v, int from) { return sim::exchange(sim::kShfl, v)[from & 31]; }
DEVICE uint32_t ballot(bool b) {
	const uint32_t* all = sim::exchange(sim::kBallot, (uint32_t)b);
	uint32_t r = 0;
	for (int i = 0; i < 32; i++) r |= all[i] << i;
	return r;
}

DEVICE float warp_sum(float v) { return sim::reduce<float>(sim::kSum, v, [](float a, float b) { return a + b; }); }
DEVICE int warp_sum(int v) { return sim::reduce<int>(sim::kSum, v, [](int a, int b) { return a + b; }); }
DEVICE float warp_max(float v) { return sim::reduce<float>(sim::kMax, v, [](float a, float b) { return fmaxf(a, b); }); }
DEVICE int warp_max(int v) { return sim::reduce<int>(sim::kMax, v, [](int a, int b) { return a > b ? a : b; }); }

DEVICE float rsqrtf(float x) { return (float)(1 / sqrt((double)x)); }
DEVICE float fast_exp(float x) {
	float y = exp2f(x * 1.4426950408889634f);
	return y < 1.17549435e-38f ? 0 : y;
}
DEVICE uint32_t float_bits(float x) {
	uint32_t r;
	memcpy(&r, &x, 4);
	return r;
}
DEVICE float bits_float(uint32_t x) {
	float r;
	memcpy(&r, &x, 4);
	return r;
}

DEVICE float f16_to_f32(uint16_t h) {
	uint32_t sign = (h & 0x8000u) << 16, special = (h & 0x7c00) == 0x7c00 ? 0x7f800000 : 0;
	return bits_float(float_bits(bits_float((h & 0x7fffu) << 13) * 0x1p112f) | sign | special);
}
namespace sim {
inline uint16_t to_f16(float v) { // the compiler's _Float16 converts with one rounding
	_Float16 f = (_Float16)v;
	uint16_t h;
	memcpy(&h, &f, 2);
	return h;
}
// From double by way of a float that is not rounded to even but to odd, so that there is one rounding in all.
inline uint16_t to_f16(double v) {
	float f = (float)v;
	uint32_t bits = float_bits(f);
	if (f != v && bits % 2 == 0) bits += fabs(v) > fabs((double)f) ? 1 : -1;
	return to_f16(bits_float(bits));
}
} // namespace sim
DEVICE uint16_t f32_to_f16(float f) { return sim::to_f16(f); }
DEVICE float bf16_to_f32(uint16_t h) { return bits_float((uint32_t)h << 16); }
DEVICE uint16_t f32_to_bf16(float f) {
	uint32_t u = float_bits(f);
	if (f != f) return 0x7fff;
	return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}
DEVICE uint32_t pack2(uint16_t first, uint16_t second) { return (uint32_t)first | (uint32_t)second << 16; }
DEVICE uint16_t first_of(uint32_t v) { return (uint16_t)v; }
DEVICE uint16_t second_of(uint32_t v) { return (uint16_t)(v >> 16); }
DEVICE uint32_t f32_to_f16x2(float first, float second) { return pack2(f32_to_f16(first), f32_to_f16(second)); }
DEVICE uint32_t f32_to_bf16x2(float first, float second) { return pack2(f32_to_bf16(first), f32_to_bf16(second)); }

namespace sim {
// The product of two halves is exact in a double, and so is its sum with a third unless their exponents lie over 30 apart.
inline uint16_t f16_fma(uint16_t a, uint16_t b, uint16_t c) { return to_f16((double)f16_to_f32(a) * f16_to_f32(b) + f16_to_f32(c)); }
inline uint16_t bf16_fma(uint16_t a, uint16_t b, uint16_t c) {
	return f32_to_bf16((float)((double)bf16_to_f32(a) * bf16_to_f32(b) + bf16_to_f32(c)));
}
} // namespace sim
DEVICE uint32_t f16x2_fma(uint32_t a, uint32_t b, uint32_t c) {
	return pack2(sim::f16_fma(first_of(a), first_of(b), first_of(c)), sim::f16_fma(second_of(a), second_of(b), second_of(c)));
}
DEVICE uint32_t f16x2_add(uint32_t a, uint32_t b) {
	return pack2(sim::to_f16(f16_to_f32(first_of(a)) + f16_to_f32(first_of(b))), sim::to_f16(f16_to_f32(second_of(a)) + f16_to_f32(second_of(b))));
}
DEVICE uint32_t f16x2_sub(uint32_t a, uint32_t b) {
	return pack2(sim::to_f16(f16_to_f32(first_of(a)) - f16_to_f32(first_of(b))), sim::to_f16(f16_to_f32(second_of(a)) - f16_to_f32(second_of(b))));
}
DEVICE uint32_t f16x2_mul(uint32_t a, uint32_t b) {
	return pack2(sim::to_f16(f16_to_f32(first_of(a)) * f16_to_f32(first_of(b))), sim::to_f16(f16_to_f32(second_of(a)) * f16_to_f32(second_of(b))));
}
DEVICE uint32_t bf16x2_fma(uint32_t a, uint32_t b, uint32_t c) {
	return pack2(sim::bf16_fma(first_of(a), first_of(b), first_of(c)), sim::bf16_fma(second_of(a), second_of(b), second_of(c)));
}

DEVICE int dp4a(int a, int b, int c) {
	for (int i = 0; i < 4; i++) c += (int)(int8_t)(a >> 8 * i) * (int8_t)(b >> 8 * i);
	return c;
}
DEVICE int dp4a_us(uint32_t a, int b, int c) {
	for (int i = 0; i < 4; i++) c += (int)(uint8_t)(a >> 8 * i) * (int8_t)(b >> 8 * i);
	return c;
}
DEVICE int popcount(uint32_t v) { return __builtin_popcount(v); }
DEVICE int leading_zeros(uint32_t v) { return v ? __builtin_clz(v) : 32; }
DEVICE int find_first(uint32_t v) { return v ? __builtin_ctz(v) : -1; }
DEVICE uint32_t byte_perm(uint32_t a, uint32_t b, uint32_t selector) {
	uint64_t ab = (uint64_t)b << 32 | a;
	uint32_t r = 0;
	for (int i = 0; i < 4; i++) {
		uint32_t s = selector >> 4 * i;
		uint8_t v = (uint8_t)(ab >> 8 * (s & 7));
		if (s & 8) v = v & 0x80 ? 0xff : 0; // the sign, spread over the byte
		r |= (uint32_t)v << 8 * i;
	}
	return r;
}
template <int table>
static inline uint32_t lop3(uint32_t a, uint32_t b, uint32_t c) {
	uint32_t r = 0;
	if (table & 0x01) r |= ~a & ~b & ~c;
	if (table & 0x02) r |= ~a & ~b & c;
	if (table & 0x04) r |= ~a & b & ~c;
	if (table & 0x08) r |= ~a & b & c;
	if (table & 0x10) r |= a & ~b & ~c;
	if (table & 0x20) r |= a & ~b & c;
	if (table & 0x40) r |= a & b & ~c;
	if (table & 0x80) r |= a & b & c;
	return r;
}

// Atomics: fibers change places only where they wait, so a plain read and write is one. Those that a loop may wait on yield.
template <class T>
static inline T atomic_add(T* p, T v) {
	T before = *p;
	*p = before + v;
	return before;
}
template <class T>
static inline T atomic_max(T* p, T v) {
	T before = *p;
	if (before < v) *p = v;
	return before;
}
DEVICE uint32_t atomic_exchange(uint32_t* p, uint32_t v) {
	sim::yield();
	uint32_t before = *p;
	*p = v;
	return before;
}
DEVICE uint32_t atomic_cas(uint32_t* p, uint32_t expected, uint32_t v) {
	sim::yield();
	uint32_t before = *p;
	if (before == expected) *p = v;
	return before;
}

DEVICE uint4 ld16(const void* p) { return sim::aligned(p, 16, "a load of 16 bytes"), *(const uint4*)p; }
DEVICE uint2 ld8(const void* p) { return sim::aligned(p, 8, "a load of 8 bytes"), *(const uint2*)p; }
DEVICE uint32_t ld4(const void* p) { return sim::aligned(p, 4, "a load of 4 bytes"), *(const uint32_t*)p; }
DEVICE void st16(void* p, uint4 v) { sim::aligned(p, 16, "a store of 16 bytes"), *(uint4*)p = v; }
DEVICE void st8(void* p, uint2 v) { sim::aligned(p, 8, "a store of 8 bytes"), *(uint2*)p = v; }
DEVICE void st4(void* p, uint32_t v) { sim::aligned(p, 4, "a store of 4 bytes"), *(uint32_t*)p = v; }
DEVICE uint4 ld_nc16(const void* p) { return ld16(p); }
DEVICE uint2 ld_nc8(const void* p) { return ld8(p); }
DEVICE uint32_t ld_nc4(const void* p) { return ld4(p); }
DEVICE uint4 ld_cg16(const void* p) { return ld16(p); }
DEVICE uint32_t ld_volatile(const uint32_t* p) { return sim::yield(), *(volatile const uint32_t*)p; }
DEVICE float ld_volatile(const float* p) { return sim::yield(), *(volatile const float*)p; }
DEVICE void prefetch(const void*) {}

// An asynchronous copy happens at once or when it is waited for, as the seed says: hardware promises only that it is between.
namespace sim {
template <int N>
inline void copy(void* shared, const void* global, bool valid) {
	aligned(shared, N, "an asynchronous copy to");
	if (valid) aligned(global, N, "an asynchronous copy from");
	const void* src = valid ? global : nullptr;
	Thread* t = current;
	if (draw() & 1) {
		src ? (void)memcpy(shared, src, N) : (void)memset(shared, 0, N);
		return;
	}
	if (t->copies == kMaxCopies) fail("more than %d asynchronous copies in flight", kMaxCopies);
	t->copy[t->copies++] = {shared, src, t->group, N};
}
} // namespace sim
DEVICE void cp_async4(void* shared, const void* global, bool valid) { sim::copy<4>(shared, global, valid); }
DEVICE void cp_async16(void* shared, const void* global, bool valid) { sim::copy<16>(shared, global, valid); }
DEVICE void cp_async16(void* shared, const void* global) { cp_async16(shared, global, true); }
DEVICE void cp_async_commit() { sim::current->group++; }
template <int n>
static inline void cp_async_wait() {
	sim::Thread* t = sim::current;
	int left = 0;
	for (int i = 0; i < t->copies; i++) {
		sim::Copy c = t->copy[i];
		if (c.group >= t->group - n) t->copy[left++] = c;
		else c.src ? (void)memcpy(c.dst, c.src, c.size) : (void)memset(c.dst, 0, c.size);
	}
	t->copies = left;
}

namespace sim {
// Vectors of the compiler, of a matrix's 16 rows.
template <class T>
struct Rows {
	typedef T type __attribute__((vector_size(16 * sizeof(T))));
};
typedef Rows<float>::type Floats;
typedef Rows<uint32_t>::type Words;
typedef Rows<int>::type Ints;

inline Floats widen(Rows<uint16_t>::type h) { // f16_to_f32 of many
	Words v = __builtin_convertvector(h, Words), sign = (v & 0x8000) << 16, special = (Words)((v & 0x7c00) == 0x7c00) & 0x7f800000;
	return (Floats)((Words)((Floats)((v & 0x7fff) << 13) * 0x1p112f) | sign | special);
}

// Tile is what the lanes of a warp put together for a product, column by column.
template <class T, class D, int K>
struct Tile {
	typename Rows<T>::type a[K];
	T b[8][K];
	typename Rows<D>::type d[8];
};

// mma multiplies what the 32 lanes hold. K is 16 pairs or 32 bytes, of type T; load turns 16 into values. (It is most of the work here:
// loops are unrolled, and kernels share its code.)
template <class T, class D, int K, class Load>
__attribute__((noinline)) void mma(int kind, D (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], Load load) {
	constexpr int N = 4 / sizeof(T); // values in a word
	auto* f = (Tile<T, D, K>*)current->warp->slot[current->warp->parity];
	static_assert(sizeof(*f) <= sizeof(current->warp->slot[0]), "a tile fits in a slot");
	int g = current->lane / 4, t = current->lane % 4;
#pragma GCC unroll 4
	for (int i = 0; i < 4; i++) {
		T v[N];
		memcpy(v, &a[i], 4);
#pragma GCC unroll 4
		for (int n = 0; n < N; n++) f->a[i / 2 * K / 2 + N * t + n][g + i % 2 * 8] = v[n];
		f->d[2 * t + i % 2][g + i / 2 * 8] = d[i];
	}
	for (int i = 0; i < 2; i++) memcpy(&f->b[g][i * K / 2 + N * t], &b[i], 4);
	if (meet(kind)) {
		typename Rows<D>::type A[K];
		for (int k = 0; k < K; k++) A[k] = load(f->a[k]);
		for (int j = 0; j < 8; j++) {
			typename Rows<D>::type sum = {}, B[K / 16];
			for (int k = 0; k < K / 16; k++) {
				typename Rows<T>::type v;
				memcpy(&v, &f->b[j][16 * k], sizeof v);
				B[k] = load(v);
			}
#pragma GCC unroll 32
			for (int k = 0; k < K; k++) sum += A[k] * B[k / 16][k % 16];
			f->d[j] += sum;
		}
		release();
	}
#pragma GCC unroll 4
	for (int i = 0; i < 4; i++) d[i] = f->d[2 * t + i % 2][g + i / 2 * 8];
}
} // namespace sim

DEVICE void mma_m16n8k16_f16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
	sim::mma<uint16_t, float, 16>(sim::kMmaF16, d, a, b, [](sim::Rows<uint16_t>::type v) { return sim::widen(v); });
}
DEVICE void mma_m16n8k16_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
	sim::mma<uint16_t, float, 16>(sim::kMmaBf16, d, a, b,
								  [](sim::Rows<uint16_t>::type v) { return (sim::Floats)(__builtin_convertvector(v, sim::Words) << 16); });
}
DEVICE void mma_m16n8k32_s8(int (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
	sim::mma<int8_t, int, 32>(sim::kMmaS8, d, a, b, [](sim::Rows<int8_t>::type v) { return __builtin_convertvector(v, sim::Ints); });
}

namespace sim {
template <int N>
inline void ldmatrix(uint32_t (&r)[N], const void* row, bool transpose) {
	struct Slot {
		const uint16_t* row[32];
		uint32_t r[32][N];
	};
	auto* s = (Slot*)current->warp->slot[current->warp->parity];
	int l = current->lane;
	if (l < 8 * N) aligned(row, 16, "ldmatrix");
	s->row[l] = (const uint16_t*)row;
	if (meet(kLdmatrix + (transpose ? 8 : 0) + N)) {
		for (int i = 0; i < N; i++)
			for (int to = 0; to < 32; to++) {
				int g = to / 4, t = 2 * (to % 4);
				const uint16_t* const* m = s->row + 8 * i;
				s->r[to][i] = transpose ? pack2(m[t][g], m[t + 1][g]) : pack2(m[g][t], m[g][t + 1]);
			}
		release();
	}
	memcpy(r, s->r[l], sizeof r);
}
} // namespace sim

DEVICE void ldmatrix_x4(uint32_t (&r)[4], const void* row) { sim::ldmatrix<4>(r, row, false); }
DEVICE void ldmatrix_x4_trans(uint32_t (&r)[4], const void* row) { sim::ldmatrix<4>(r, row, true); }
DEVICE void ldmatrix_x2(uint32_t (&r)[2], const void* row) { sim::ldmatrix<2>(r, row, false); }
DEVICE void ldmatrix_x2_trans(uint32_t (&r)[2], const void* row) { sim::ldmatrix<2>(r, row, true); }

// A warpgroup's product is one of each warp with all columns: nothing of it runs beside the thread here.
DEVICE void wgmma_n128(float (&d)[16][4], const uint32_t (&a)[4], const void* b, int k16, bool add) {
	if ((uintptr_t)b % 1024) sim::fail("wgmma_n128 of a tile that begins at no multiple of 1024 bytes");
	int g = lane() >> 2, t = lane() & 3;
	for (int n = 0; n < 16; n++) {
		const uint8_t* column = (const uint8_t*)b + 128 * (8 * n + g) + 4 * t;
		const uint32_t v[2] = {ld4(column + 16 * ((2 * k16) ^ g)), ld4(column + 16 * ((2 * k16 + 1) ^ g))};
		if (!add) d[n][0] = d[n][1] = d[n][2] = d[n][3] = 0;
		mma_m16n8k16_f16(d[n], a, v);
	}
}
DEVICE void wgmma_begin() {}
DEVICE void wgmma_end() {}
DEVICE void fence_async() {}

DEVICE void mbarrier_init(uint64_t* barrier) { sim::mbarrier_init(barrier); }
DEVICE void mbarrier_fence() { sim::mbarrier_fence(); }
DEVICE void mbarrier_expect(uint64_t* barrier, int bytes) { sim::mbarrier_expect(barrier, bytes); }
DEVICE void mbarrier_wait(uint64_t* barrier, int parity) { sim::mbarrier_wait(barrier, parity); }
DEVICE void bulk_copy(void* shared, const void* global, int bytes, uint64_t* barrier) { sim::bulk_copy(shared, global, bytes, barrier); }
