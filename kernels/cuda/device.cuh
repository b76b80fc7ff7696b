// The one include of the .cu files: what a kernel may use, once for the GPU and once for the simulated driver of tests.
//
// A kernel is written against these names only, so that the same file compiles with NVRTC (no CUDA headers) and, with
// LLAMA31_SIM defined, with a host compiler (sim/host/twins.h holds the host's twins). Rules that both need:
//
//   - KERNEL(name, Params) { ... p.x ... }: one struct by value, called p, plain fields only, pointers first.
//   - Blocks are one-dimensional and a multiple of 32 threads; grids have up to three dimensions.
//   - Shared memory only through SHARED and SHARED_DYNAMIC, inside the kernel or a function it calls; name is a pointer.
//     It starts undefined: NaN under the simulated driver.
//   - Functions are DEVICE; constants are constexpr, tables CONSTANT_TABLE.
//   - Warp operations (shfl_*, warp_*, ballot, mma_*, ldmatrix_*, sync_warp) take all 32 lanes, none returned or in a branch.
//   - Compiled with -fmad=false: a*b+c rounds twice, fmaf(a, b, c) once, so what a kernel computes does not depend on how the
//     compiler saw the code around it.
//
// float16 and bfloat16 are stored as uint16_t, pairs as uint32_t with the first in the low half.
#pragma once

#ifdef LLAMA31_SIM
#include "sim/host/twins.h"
#else

typedef signed char int8_t;
typedef unsigned char uint8_t;
typedef short int16_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long long int64_t;
typedef unsigned long long uint64_t;

// SM90A is 1 where wgmma exists. A kernel that uses it has a twin that does not: in tests wgmma is a loop of other products.
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define SM90A 1
#else
#define SM90A 0
#endif

#define KERNEL(name, Params) extern "C" __global__ void name(const __grid_constant__ Params p)
// KERNEL_BOUNDS also promises the compiler a block of at most that many threads, and asks for that many blocks per SM.
#define KERNEL_BOUNDS(name, Params, threads, blocks) \
	extern "C" __global__ void __launch_bounds__(threads, blocks) name(const __grid_constant__ Params p)
#define DEVICE static __device__ __forceinline__
#define CONSTANT_TABLE static __device__ const

#define SHARED(type, name, count) \
	__shared__ __align__(16) type name##_storage[count]; \
	type* const name = name##_storage
#define SHARED_DYNAMIC(type, name) \
	extern __shared__ __align__(1024) unsigned char shared_dynamic[]; \
	type* const name = (type*)shared_dynamic

DEVICE int tid() { return threadIdx.x; }
DEVICE int lane() { return threadIdx.x & 31; }
DEVICE int warp() { return threadIdx.x >> 5; }
DEVICE int block_dim() { return blockDim.x; }
DEVICE int bid_x() { return blockIdx.x; }
DEVICE int bid_y() { return blockIdx.y; }
DEVICE int bid_z() { return blockIdx.z; }
DEVICE int grid_x() { return gridDim.x; }
DEVICE int grid_y() { return gridDim.y; }
DEVICE int grid_z() { return gridDim.z; }

DEVICE void sync_threads() { __syncthreads(); }
DEVICE void sync_warp() { __syncwarp(); }
// sync_named waits until `threads` threads (a multiple of 32) have come to barrier id, 1 to 15.
DEVICE void sync_named(int id, int threads) { asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory"); }
DEVICE void thread_fence() { __threadfence(); }

// sync_grid is a barrier of all blocks of a cooperative launch. state is one word of global memory, zero before its first use;
// it may be used again without clearing. (Block 0 adds what flips the top bit once all others have added 1.)
DEVICE void sync_grid(uint32_t* state) {
	__syncthreads();
	if (threadIdx.x == 0) {
		uint32_t blocks = gridDim.x * gridDim.y * gridDim.z;
		uint32_t add = (blockIdx.x | blockIdx.y | blockIdx.z) == 0 ? 0x80000000u - (blocks - 1) : 1;
		__threadfence();
		uint32_t before = atomicAdd(state, add), now;
		do {
			asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(now) : "l"(state) : "memory");
		} while (((before ^ now) & 0x80000000u) == 0);
		__threadfence();
	}
	__syncthreads();
}

// Programmatic dependent launch: griddep_wait before the first use of what the kernel before wrote: it waits for that one's end, so
// what is before it may only read what no kernel writes. griddep_launch lets the kernel after begin once all blocks have called it:
// first thing, so that its blocks are there, with their weights on the way, when they may go on. Nothing before sm_90, where the launch
// waits by itself.
DEVICE void griddep_wait() {
#if __CUDA_ARCH__ >= 900
	asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
DEVICE void griddep_launch() {
#if __CUDA_ARCH__ >= 900
	asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

DEVICE float shfl_xor(float v, int mask) { return __shfl_xor_sync(0xffffffffu, v, mask); }
DEVICE int shfl_xor(int v, int mask) { return __shfl_xor_sync(0xffffffffu, v, mask); }
DEVICE uint32_t shfl_xor(uint32_t v, int mask) { return __shfl_xor_sync(0xffffffffu, v, mask); }
DEVICE float shfl_down(float v, int by) { return __shfl_down_sync(0xffffffffu, v, by); }
DEVICE int shfl_down(int v, int by) { return __shfl_down_sync(0xffffffffu, v, by); }
DEVICE uint32_t shfl_down(uint32_t v, int by) { return __shfl_down_sync(0xffffffffu, v, by); }
DEVICE float shfl_up(float v, int by) { return __shfl_up_sync(0xffffffffu, v, by); }
DEVICE int shfl_up(int v, int by) { return __shfl_up_sync(0xffffffffu, v, by); }
DEVICE uint32_t shfl_up(uint32_t v, int by) { return __shfl_up_sync(0xffffffffu, v, by); }
DEVICE float shfl(float v, int from) { return __shfl_sync(0xffffffffu, v, from); }
DEVICE int shfl(int v, int from) { return __shfl_sync(0xffffffffu, v, from); }
DEVICE uint32_t shfl(uint32_t v, int from) { return __shfl_sync(0xffffffffu, v, from); }
DEVICE uint32_t ballot(bool b) { return __ballot_sync(0xffffffffu, b); }

// warp_sum and warp_max give every lane the same bits: distances 16, 8, 4, 2, 1.
DEVICE float warp_sum(float v) {
#pragma unroll
	for (int m = 16; m; m >>= 1) v += shfl_xor(v, m);
	return v;
}
DEVICE int warp_sum(int v) {
#pragma unroll
	for (int m = 16; m; m >>= 1) v += shfl_xor(v, m);
	return v;
}
DEVICE float warp_max(float v) {
#pragma unroll
	for (int m = 16; m; m >>= 1) v = fmaxf(v, shfl_xor(v, m));
	return v;
}
DEVICE int warp_max(int v) {
#pragma unroll
	for (int m = 16; m; m >>= 1) v = max(v, shfl_xor(v, m));
	return v;
}

// float32 functions: CUDA's own fmaf, expf, logf, sqrtf, rsqrtf, fabsf, fminf, fmaxf, rintf, floorf, cosf, sinf; and fast_exp,
// exp within 2 ulp plus 1.2e-7·|x| (ex2.approx of x·log2 e).
DEVICE float fast_exp(float x) {
	float y;
	asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x * 1.4426950408889634f));
	return y;
}
DEVICE uint32_t float_bits(float x) { return __float_as_uint(x); }
DEVICE float bits_float(uint32_t x) { return __uint_as_float(x); }

// Conversions round to nearest even.
DEVICE float f16_to_f32(uint16_t h) {
	float f;
	asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(h));
	return f;
}
DEVICE uint16_t f32_to_f16(float f) {
	uint16_t h;
	asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(f));
	return h;
}
DEVICE float bf16_to_f32(uint16_t h) { return __uint_as_float((uint32_t)h << 16); }
DEVICE uint16_t f32_to_bf16(float f) {
	uint16_t h;
	asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(h) : "f"(f));
	return h;
}
DEVICE uint32_t f32_to_f16x2(float first, float second) {
	uint32_t r;
	asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(second), "f"(first));
	return r;
}
DEVICE uint32_t f32_to_bf16x2(float first, float second) {
	uint32_t r;
	asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(second), "f"(first));
	return r;
}
DEVICE uint32_t pack2(uint16_t first, uint16_t second) { return (uint32_t)first | (uint32_t)second << 16; }
DEVICE uint16_t first_of(uint32_t v) { return (uint16_t)v; }
DEVICE uint16_t second_of(uint32_t v) { return (uint16_t)(v >> 16); }

// Arithmetic on pairs, each half rounded once.
DEVICE uint32_t f16x2_fma(uint32_t a, uint32_t b, uint32_t c) {
	uint32_t d;
	asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
	return d;
}
DEVICE uint32_t f16x2_add(uint32_t a, uint32_t b) {
	uint32_t d;
	asm("add.rn.f16x2 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(b));
	return d;
}
DEVICE uint32_t f16x2_sub(uint32_t a, uint32_t b) {
	uint32_t d;
	asm("sub.rn.f16x2 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(b));
	return d;
}
DEVICE uint32_t f16x2_mul(uint32_t a, uint32_t b) {
	uint32_t d;
	asm("mul.rn.f16x2 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(b));
	return d;
}
DEVICE uint32_t bf16x2_fma(uint32_t a, uint32_t b, uint32_t c) {
	uint32_t d;
	asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
	return d;
}

// Integers.
DEVICE int dp4a(int a, int b, int c) { return __dp4a(a, b, c); } // c + Σ of four products of signed bytes
DEVICE int dp4a_us(uint32_t a, int b, int c) {                   // a's bytes unsigned, b's signed
	int d;
	asm("dp4a.u32.s32 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
	return d;
}
DEVICE int popcount(uint32_t v) { return __popc(v); }
DEVICE int leading_zeros(uint32_t v) { return __clz((int)v); } // 32 for 0
DEVICE int find_first(uint32_t v) { return __ffs((int)v) - 1; } // lowest set bit, -1 for 0
DEVICE uint32_t byte_perm(uint32_t a, uint32_t b, uint32_t selector) { return __byte_perm(a, b, selector); }
// lop3 is the bitwise function of a, b, c whose truth table is `table`, written over 0xF0, 0xCC, 0xAA.
template <int table>
DEVICE uint32_t lop3(uint32_t a, uint32_t b, uint32_t c) {
	uint32_t d;
	asm("lop3.b32 %0, %1, %2, %3, %4;" : "=r"(d) : "r"(a), "r"(b), "r"(c), "n"(table));
	return d;
}

// Atomics on global or shared memory; they give what was there before.
DEVICE float atomic_add(float* p, float v) { return atomicAdd(p, v); }
DEVICE int atomic_add(int* p, int v) { return atomicAdd(p, v); }
DEVICE uint32_t atomic_add(uint32_t* p, uint32_t v) { return atomicAdd(p, v); }
DEVICE uint64_t atomic_add(uint64_t* p, uint64_t v) { return atomicAdd((unsigned long long*)p, (unsigned long long)v); }
DEVICE int atomic_max(int* p, int v) { return atomicMax(p, v); }
DEVICE uint32_t atomic_max(uint32_t* p, uint32_t v) { return atomicMax(p, v); }
DEVICE uint64_t atomic_max(uint64_t* p, uint64_t v) { return atomicMax((unsigned long long*)p, (unsigned long long)v); }
DEVICE uint32_t atomic_exchange(uint32_t* p, uint32_t v) { return atomicExch(p, v); }
DEVICE uint32_t atomic_cas(uint32_t* p, uint32_t expected, uint32_t v) { return atomicCAS(p, expected, v); }

// Loads and stores of 16, 8 and 4 bytes, which p must be aligned to. ld_nc* read global memory that no one writes while the
// kernel runs (weights), once, past the L1 cache.
DEVICE uint4 ld16(const void* p) { return *(const uint4*)p; }
DEVICE uint2 ld8(const void* p) { return *(const uint2*)p; }
DEVICE uint32_t ld4(const void* p) { return *(const uint32_t*)p; }
DEVICE void st16(void* p, uint4 v) { *(uint4*)p = v; }
DEVICE void st8(void* p, uint2 v) { *(uint2*)p = v; }
DEVICE void st4(void* p, uint32_t v) { *(uint32_t*)p = v; }
DEVICE uint4 ld_nc16(const void* p) {
	uint4 v;
	asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p));
	return v;
}
DEVICE uint2 ld_nc8(const void* p) {
	uint2 v;
	asm volatile("ld.global.nc.L1::no_allocate.v2.u32 {%0, %1}, [%2];" : "=r"(v.x), "=r"(v.y) : "l"(p));
	return v;
}
DEVICE uint32_t ld_nc4(const void* p) {
	uint32_t v;
	asm volatile("ld.global.nc.L1::no_allocate.u32 %0, [%1];" : "=r"(v) : "l"(p));
	return v;
}
// ld_cg16 reads global memory that other blocks of the kernel wrote, past the L1 cache.
DEVICE uint4 ld_cg16(const void* p) {
	uint4 v;
	asm volatile("ld.global.cg.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p) : "memory");
	return v;
}
// ld_volatile reads global memory that other blocks write.
DEVICE uint32_t ld_volatile(const uint32_t* p) { return *(volatile const uint32_t*)p; }
DEVICE float ld_volatile(const float* p) { return *(volatile const float*)p; }
// prefetch brings p's line into the L2 cache.
DEVICE void prefetch(const void* p) { asm volatile("prefetch.global.L2 [%0];" ::"l"(p)); }

DEVICE uint32_t shared_address(const void* p) { return (uint32_t)__cvta_generic_to_shared(p); }

// cp_async16 copies 16 bytes from global to shared memory, both aligned, while the thread goes on; with valid false it writes
// zeros and reads nothing. A thread closes a group with cp_async_commit; cp_async_wait<n> waits for all but its n latest groups.
// What other threads copied is there after a barrier.
DEVICE void cp_async16(void* shared, const void* global) {
	asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(shared)), "l"(global) : "memory");
}
DEVICE void cp_async16(void* shared, const void* global, bool valid) {
	asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)), "l"(global), "r"(valid ? 16 : 0) : "memory");
}
// cp_async4 is that for 4 bytes.
DEVICE void cp_async4(void* shared, const void* global, bool valid) {
	asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(shared_address(shared)), "l"(global), "r"(valid ? 4 : 0) : "memory");
}
DEVICE void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int n>
DEVICE void cp_async_wait() {
	asm volatile("cp.async.wait_group %0;" ::"n"(n) : "memory");
}

// Matrix products of a warp, d += a·b, in the fragment layouts of PTX. With g = lane/4 and t = lane%4:
//
//   m16n8k16   a[0] = A[g][2t..], a[1] = A[g+8][2t..], a[2] = A[g][2t+8..], a[3] = A[g+8][2t+8..]   (pairs along k)
//              b[0] = B[2t..][g], b[1] = B[2t+8..][g]                                              (pairs along k)
//   m16n8k32   a[0] = A[g][4t..], a[1] = A[g+8][4t..], a[2] = A[g][4t+16..], a[3] = A[g+8][4t+16..] (four bytes along k)
//              b[0] = B[4t..][g], b[1] = B[4t+16..][g]
//   both       d[0], d[1] = D[g][2t, 2t+1], d[2], d[3] = D[g+8][2t, 2t+1]
DEVICE void mma_m16n8k16_f16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
	asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
				 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
				 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
DEVICE void mma_m16n8k16_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
	asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
				 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
				 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
DEVICE void mma_m16n8k32_s8(int (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
	asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
				 : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
				 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// ldmatrix_xN loads N matrices of 8x8 16-bit values from shared memory: lane 8i+r gives the address of matrix i's row r (16
// bytes, aligned), and receives in r[i] the pair [lane/4][2·(lane%4)..] of matrix i; with _trans, of its transpose.
DEVICE void ldmatrix_x4(uint32_t (&r)[4], const void* row) {
	asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
				 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(row)) : "memory");
}
DEVICE void ldmatrix_x4_trans(uint32_t (&r)[4], const void* row) {
	asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
				 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(row)) : "memory");
}
DEVICE void ldmatrix_x2(uint32_t (&r)[2], const void* row) {
	asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];" : "=r"(r[0]), "=r"(r[1]) : "r"(shared_address(row)) : "memory");
}
DEVICE void ldmatrix_x2_trans(uint32_t (&r)[2], const void* row) {
	asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
				 : "=r"(r[0]), "=r"(r[1]) : "r"(shared_address(row)) : "memory");
}

#if SM90A
// wgmma_n128 is a product of a warpgroup (four warps from one whose number is a multiple of 4 on) with 128 columns: each warp has 16 rows,
// a in the layout of m16n8k16, d[n] that of its columns 8n … 8n+7. Column c's 64 values of b along k lie in 128 bytes at b + 128·c, a
// multiple of 1024 bytes, the 16 bytes of chunk i at i ^ c%8; the product takes chunks 2·k16 and 2·k16+1. Without add, d is set.
// It runs beside the thread, from wgmma_begin to wgmma_end; d and a must not be touched in between.
DEVICE void wgmma_n128(float (&d)[16][4], const uint32_t (&a)[4], const void* b, int k16, bool add) {
	// Start address and distance of 8 columns in units of 16 bytes; bit 62: rows of 128 bytes, swizzled.
	uint64_t descriptor = (uint64_t)((shared_address(b) + 32 * k16) >> 4 & 0x3fff) | (uint64_t)1 << 16 | (uint64_t)64 << 32 | (uint64_t)1 << 62;
	float* v = &d[0][0];
	asm volatile(
		"{\n.reg .pred p;\nsetp.ne.b32 p, %69, 0;\n"
		"wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 "
		"{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, "
		"%28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, "
		"%54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, {%64, %65, %66, %67}, %68, p, 1, 1, 0;\n}\n"
		: "+f"(v[0]), "+f"(v[1]), "+f"(v[2]), "+f"(v[3]), "+f"(v[4]), "+f"(v[5]), "+f"(v[6]), "+f"(v[7]), "+f"(v[8]), "+f"(v[9]), "+f"(v[10]),
		  "+f"(v[11]), "+f"(v[12]), "+f"(v[13]), "+f"(v[14]), "+f"(v[15]), "+f"(v[16]), "+f"(v[17]), "+f"(v[18]), "+f"(v[19]), "+f"(v[20]),
		  "+f"(v[21]), "+f"(v[22]), "+f"(v[23]), "+f"(v[24]), "+f"(v[25]), "+f"(v[26]), "+f"(v[27]), "+f"(v[28]), "+f"(v[29]), "+f"(v[30]),
		  "+f"(v[31]), "+f"(v[32]), "+f"(v[33]), "+f"(v[34]), "+f"(v[35]), "+f"(v[36]), "+f"(v[37]), "+f"(v[38]), "+f"(v[39]), "+f"(v[40]),
		  "+f"(v[41]), "+f"(v[42]), "+f"(v[43]), "+f"(v[44]), "+f"(v[45]), "+f"(v[46]), "+f"(v[47]), "+f"(v[48]), "+f"(v[49]), "+f"(v[50]),
		  "+f"(v[51]), "+f"(v[52]), "+f"(v[53]), "+f"(v[54]), "+f"(v[55]), "+f"(v[56]), "+f"(v[57]), "+f"(v[58]), "+f"(v[59]), "+f"(v[60]),
		  "+f"(v[61]), "+f"(v[62]), "+f"(v[63])
		: "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(descriptor), "r"((int)add));
}
DEVICE void wgmma_begin() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
DEVICE void wgmma_end() { asm volatile("wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;" ::: "memory"); }
// fence_async orders what the thread read and wrote of shared memory before what wgmma and the copy engine do there, after the next
// barrier.
DEVICE void fence_async() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// bulk_copy has the copy engine (TMA) bring bytes from global to shared memory, while all threads go on: one thread asks for them.
// Addresses and size are multiples of 16 bytes. An mbarrier in shared memory says when they are there. A thread makes it with
// mbarrier_init and mbarrier_fence, before others use it; in each phase one announces with mbarrier_expect how many bytes will come,
// then asks for them; whoever reads them waits for the phase, the first with parity 0, then 1, 0 and so on.
DEVICE void mbarrier_init(uint64_t* barrier) { asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(shared_address(barrier)) : "memory"); }
DEVICE void mbarrier_fence() { asm volatile("fence.mbarrier_init.release.cluster;\nfence.proxy.async.shared::cta;" ::: "memory"); }
DEVICE void mbarrier_expect(uint64_t* barrier, int bytes) {
	asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes) : "memory");
}
DEVICE void mbarrier_wait(uint64_t* barrier, int parity) {
	uint32_t over;
	do {
		asm volatile("{\n.reg .pred p;\nmbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\nselp.u32 %0, 1, 0, p;\n}"
					 : "=r"(over) : "r"(shared_address(barrier)), "r"(parity) : "memory");
	} while (!over);
}
DEVICE void bulk_copy(void* shared, const void* global, int bytes, uint64_t* barrier) {
	asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];"
				 ::"r"(shared_address(shared)), "l"(global), "r"(bytes), "r"(shared_address(barrier)) : "memory");
}
#endif

#endif
