// Weights as they lie in device memory, and their products with activations on tensor cores (see the package comment).
//
// A matrix is cut into records: 16 rows times 256 values along k (128 of F16, 64 of F32), one after the other along k, row tile
// by row tile. A record has a low plane and maybe a high plane of bits, then scales. A plane goes block by block, of 32 values
// along k; of each, lane 4g+t finds its own bytes: eight values of row g and eight of row g+8, k = 4t … 4t+3 and 16+4t … 16+4t+3,
// which is what two m16n8k16 need of A. Activations are stored in that order too.
#pragma once
#include "device.cuh"

constexpr int TILE = 16;   // rows of a record
constexpr int SUPER = 256; // k is padded to a multiple of this with zeros

// What scales a record has.
enum Scales {
	PER_ROW,   // none: one float32 per row, behind all records
	PER_32,    // float16 per 32 values
	CODES_32,  // int8 per 32 values, times a float16 per row
	CODES_16,  // int8 per 16 values, times a float16 per row
	NIBBLES_16 // four bits per 16 values, times a float16 per row; the offset's in the upper four
};

// Format of a weight: value = scale · (q - Bias) + offset, q of Low bits in the low plane and High more in the other. Table
// says that q is a place in IQ4's table. Low 16 is a float16, 32 the sum of two.
template <int Low_, int High_, int Bias_, Scales Kind_, bool Offset_, bool Table_ = false>
struct Format {
	static constexpr int Low = Low_, High = High_, Bias = Bias_;
	static constexpr Scales Kind = Kind_;
	static constexpr bool Offset = Offset_, Table = Table_, Halves = Kind_ == CODES_16 || Kind_ == NIBBLES_16;
	static constexpr int K = Low < 16 ? SUPER : 2048 / Low, Blocks = K / 32;
	static constexpr int LowBytes = 2 * Low * K, HighBytes = 2 * High * K; // of a plane
	static constexpr int ScaleBytes = Kind == PER_ROW ? 0 : Kind == CODES_32 && !Offset ? 8 : 16; // of a row
	static constexpr int OffsetBytes = Kind == PER_32 && Offset ? 16 : 0;
	static constexpr int FactorBytes = Kind < CODES_32 ? 0 : Offset ? 4 : 2;
	static constexpr int Bytes = LowBytes + HighBytes + TILE * (ScaleBytes + OffsetBytes + FactorBytes);
};

using F32 = Format<32, 0, 0, PER_ROW, false>;
using F16 = Format<16, 0, 0, PER_ROW, false>;
using Q8_0 = Format<8, 0, 128, PER_32, false>;
using Q4_0 = Format<4, 0, 8, PER_32, false>;
using Q4_1 = Format<4, 0, 0, PER_32, true>;
using Q5_0 = Format<4, 1, 16, PER_32, false>;
using Q5_1 = Format<4, 1, 0, PER_32, true>;
using Q2_K = Format<2, 0, 0, NIBBLES_16, true>;
using Q3_K = Format<2, 1, 4, CODES_16, false>;
using Q4_K = Format<4, 0, 0, CODES_32, true>;
using Q5_K = Format<4, 1, 0, CODES_32, true>;
using Q6_K = Format<4, 2, 32, CODES_16, false>;
using IQ4_NL = Format<4, 0, 128, PER_32, false, true>;
using IQ4_XS = Format<4, 0, 128, CODES_32, false, true>;

// Record is one lane's view of a record in memory, usually shared.
template <class F>
struct Record {
	const uint8_t *planes, *scales; // scales of row g
	uint32_t factor[2];             // of rows g and g+8
};

template <class F>
DEVICE void open_record(Record<F>& r, const uint8_t* p) {
	int g = lane() >> 2;
	r.planes = p;
	p += F::LowBytes + F::HighBytes;
	r.scales = p + F::ScaleBytes * g;
	p += TILE * (F::ScaleBytes + F::OffsetBytes) + F::FactorBytes * g;
	if constexpr (F::FactorBytes == 4) r.factor[0] = ld4(p), r.factor[1] = ld4(p + 32);
	if constexpr (F::FactorBytes == 2) r.factor[0] = *(const uint16_t*)p, r.factor[1] = *(const uint16_t*)(p + 16);
}

constexpr uint32_t F16_1024 = 0x64006400; // a pair of 1024; integers below 1024 may be or-ed in

// f16_of is n as float16: a positive integer of at most 11 bits, or such a one negative.
DEVICE constexpr uint32_t f16_of(int n) {
	uint32_t sign = n < 0 ? 0x8000 : 0, m = n < 0 ? -n : n, e = 25;
	while (m < 1024) m *= 2, e--;
	return sign | e << 10 | (m & 1023);
}

// less takes (1024 >> by) + Bias off a pair divided by 2^by, exactly.
template <class F, int by = 0>
DEVICE uint32_t less(uint32_t v) {
	constexpr uint32_t minus = 0x10001u * f16_of(-(1024 >> by) - F::Bias);
	if constexpr (by == 0) return f16x2_add(v, minus);
	return f16x2_fma(v, 0x10001u * ((15 - by) << 10), minus);
}

// with is (v & mask) | w, in one instruction.
DEVICE uint32_t with(uint32_t v, uint32_t mask, uint32_t w) { return lop3<0xEA>(v, mask, w); }

// pair gives values i of a lane's row: bits i·Low of low and 16 above, and i·High of high and 16 above. The bits stay where they are in a
// byte: the float16 that they stand in is divided.
template <class F, int i>
DEVICE uint32_t pair(uint32_t low, uint32_t high) {
	constexpr int at = F::Low * i % 8;
	if constexpr (F::Low * i >= 8) low >>= 8;
	uint32_t v = with(low, 0x10001u * ((1 << F::Low) - 1) << at, F16_1024);
	if constexpr (F::High > 0) {
		constexpr int left = at + F::Low - F::High * i; // how far the high bits are from their place
		v = with(left < 0 ? high >> -left : high << left, 0x10001u * ((1 << F::High) - 1) << (at + F::Low), v);
	}
	return less<F, at>(v);
}

// iq4 looks four nibbles up: 128 + IQ4's values, a byte each.
DEVICE uint32_t iq4(uint32_t nibbles) {
	uint32_t s = nibbles & 0x7777;
	uint32_t small = byte_perm(0x3f2d1801, 0x766a5d4f, s), large = byte_perm(0xa6998d81, 0xf1d9c5b5, s);
	return byte_perm(small, large, 0x3210 | (nibbles >> 1 & 0x4444));
}

// float_values gives block b of a format of float16, or their second halves, as the A operands of two products.
template <class F>
DEVICE void float_values(const Record<F>& r, int b, int second, uint32_t (&a)[2][4]) {
	const uint8_t* p = r.planes + 64 * F::Low * b + 1024 * second + 16 * lane();
	uint4 u = ld16(p), v = ld16(p + 512);
	a[0][0] = u.x, a[0][1] = v.x, a[0][2] = u.y, a[0][3] = v.y;
	a[1][0] = u.z, a[1][1] = v.z, a[1][2] = u.w, a[1][3] = v.w;
}

// byte_values makes pairs of four bytes, as registers `row` and `row`+2 of an operand.
template <class F>
DEVICE void byte_values(uint32_t w, int row, uint32_t (&a)[4]) {
	a[row] = less<F>(byte_perm(w, F16_1024, 0x5150));
	a[row + 2] = less<F>(byte_perm(w, F16_1024, 0x5352));
}

// values gives block b of a format of integers as the A operands of two products.
template <class F>
DEVICE void values(const Record<F>& r, int b, uint32_t (&a)[2][4]) {
	const uint8_t* p = r.planes + 64 * F::Low * b + 2 * F::Low * lane();
	if constexpr (F::Low == 8) {
		uint4 w = ld16(p);
		byte_values<F>(w.x, 0, a[0]), byte_values<F>(w.y, 0, a[1]);
		byte_values<F>(w.z, 1, a[0]), byte_values<F>(w.w, 1, a[1]);
		return;
	}
	uint32_t low[2];
	if constexpr (F::Low == 4) {
		uint2 w = ld8(p);
		low[0] = w.x, low[1] = w.y;
	} else {
		low[0] = ld4(p);
		low[1] = low[0] >> 8;
	}
	if constexpr (F::Table) {
#pragma unroll
		for (int row = 0; row < 2; row++) byte_values<F>(iq4(low[row]), row, a[0]), byte_values<F>(iq4(low[row] >> 16), row, a[1]);
		return;
	}
	uint32_t high = 0;
	p = r.planes + F::LowBytes + 64 * F::High * b + 2 * F::High * lane();
	if constexpr (F::High == 1) {
		high = *(const uint16_t*)p;
		high |= high << 8; // the bits of a pair are 8 apart, now 16
	}
	if constexpr (F::High == 2) high = ld4(p);
#pragma unroll
	for (int row = 0; row < 2; row++) {
		uint32_t bits = row == 0 ? high : high >> 4 * F::High;
		a[0][row] = pair<F, 0>(low[row], bits), a[0][row + 2] = pair<F, 1>(low[row], bits);
		a[1][row] = pair<F, 2>(low[row], bits), a[1][row + 2] = pair<F, 3>(low[row], bits);
	}
}

DEVICE float first_half(uint32_t pair) { return f16_to_f32(first_of(pair)); }
DEVICE float second_half(uint32_t pair) { return f16_to_f32(second_of(pair)); }

// scales gives the scale and the offset of rows g and g+8 in half h of block b (0 where both halves have the same).
template <class F>
DEVICE void scales(const Record<F>& r, int b, int h, float (&scale)[2], float (&offset)[2]) {
#pragma unroll
	for (int row = 0; row < 2; row++) {
		const uint8_t* p = r.scales + 8 * row * F::ScaleBytes;
		if constexpr (F::Kind == PER_32) {
			scale[row] = f16_to_f32(*(const uint16_t*)(p + 2 * b));
			if constexpr (F::Offset) offset[row] = f16_to_f32(*(const uint16_t*)(p + TILE * F::ScaleBytes + 2 * b));
		} else if constexpr (F::Kind == CODES_32) {
			scale[row] = first_half(r.factor[row]) * (float)*(const int8_t*)(p + b);
			if constexpr (F::Offset) offset[row] = -(second_half(r.factor[row]) * (float)*(const int8_t*)(p + 8 + b));
		} else if constexpr (F::Kind == CODES_16) {
			scale[row] = first_half(r.factor[row]) * (float)*(const int8_t*)(p + 2 * b + h);
		} else {
			int code = p[2 * b + h];
			scale[row] = first_half(r.factor[row]) * (float)(code & 15);
			offset[row] = -(second_half(r.factor[row]) * (float)(code >> 4));
		}
	}
}

// Block is one block of a record, ready for products.
template <class F>
struct Block {
	uint32_t a[2][4], low[2][4];
	float scale[2][2], offset[2][2]; // [half][row]
};

template <class F>
DEVICE void open_block(const Record<F>& r, int b, Block<F>& block) {
	if constexpr (F::Kind == PER_ROW) {
		float_values<F>(r, b, 0, block.a);
		if constexpr (F::Low == 32) float_values<F>(r, b, 1, block.low);
	} else {
		values<F>(r, b, block.a);
		scales<F>(r, b, 0, block.scale[0], block.offset[0]);
		if constexpr (F::Halves) scales<F>(r, b, 1, block.scale[1], block.offset[1]);
	}
}

// add_block adds a block's product with eight tokens to acc, the layout of D in m16n8k16. x holds the lane's eight activations
// of token g; sums the activations' sums over each 16 values, of tokens 2t and 2t+1. It is the only place where a weight meets
// an activation, so every kernel gives the same bits.
template <class F>
DEVICE void add_block(float (&acc)[4], const Block<F>& w, const uint4& x, const float2 (&sums)[2]) {
	const uint32_t x0[2] = {x.x, x.y}, x1[2] = {x.z, x.w};
	if constexpr (F::Kind == PER_ROW) {
		mma_m16n8k16_f16(acc, w.a[0], x0);
		mma_m16n8k16_f16(acc, w.a[1], x1);
		if constexpr (F::Low == 32) {
			mma_m16n8k16_f16(acc, w.low[0], x0);
			mma_m16n8k16_f16(acc, w.low[1], x1);
		}
	} else if constexpr (F::Halves) {
#pragma unroll
		for (int h = 0; h < 2; h++) {
			float s[4] = {0, 0, 0, 0};
			mma_m16n8k16_f16(s, w.a[h], h ? x1 : x0);
#pragma unroll
			for (int i = 0; i < 4; i++) {
				acc[i] = fmaf(w.scale[h][i / 2], s[i], acc[i]);
				if constexpr (F::Offset) acc[i] = fmaf(w.offset[h][i / 2], i % 2 ? sums[h].y : sums[h].x, acc[i]);
			}
		}
	} else {
		float s[4] = {0, 0, 0, 0};
		mma_m16n8k16_f16(s, w.a[0], x0);
		mma_m16n8k16_f16(s, w.a[1], x1);
#pragma unroll
		for (int i = 0; i < 4; i++) {
			acc[i] = fmaf(w.scale[0][i / 2], s[i], acc[i]);
			if constexpr (F::Offset) acc[i] = fmaf(w.offset[0][i / 2], i % 2 ? sums[0].y + sums[1].y : sums[0].x + sums[1].x, acc[i]);
		}
	}
}
