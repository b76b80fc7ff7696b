// Draws a token from a row of logits, as kernels.Sampling says. Probabilities are integers, in units of 2^-40 of the largest, so
// that sums do not depend on the order in which threads add.
#include "device.cuh"

// Draw is what a row asks for.
struct Draw {
	double temperature, top_p, min_p, typical, draw;
	float repeat, frequency, presence; // repeat 1: off
	int use;                           // 0: nothing at all
	int top_k, target;                 // 0: all; -1: none
	int mask, mask_words;              // bits allowed, in words; mask -1: all
	int bias, biases, seen, seens;     // pairs of id and float, of id and count, in words
	int slot, pad;                     // that remembers the id; -1: none
};

struct Drawn {
	double logprob, target_logprob;
	int id, pad;
};

struct Sample {
	const float* logits; // [rows][vocab]
	float* work;         // [rows][vocab]
	const Draw* draws;   // [rows]
	const uint32_t* words;
	Drawn* out; // [rows]
	int* last;  // [slots] what each sampled last
	int vocab;
};

constexpr int THREADS = 512, WARPS = THREADS / 32, BITS = 11, BINS = 1 << BITS;
constexpr float LARGEST = 3.402823466e38f;

DEVICE float infinity() { return bits_float(0x7f800000); }

// State is shared by the block.
struct State {
	uint64_t mass[BINS];
	uint64_t sums[WARPS];
	float tops[WARPS];
	int ids[WARPS];
	uint64_t have;
	uint32_t last;
	int cut;
};

// Kept says which tokens a stage keeps: key above last, or equal and the id at most cut.
struct Kept {
	uint32_t last;
	int cut;
};

// order gives integers in the order of floats.
DEVICE uint32_t order(float l) {
	uint32_t b = float_bits(l + 0.0f);
	return b >> 31 ? ~b : b | 0x80000000u;
}

DEVICE uint64_t shfl_down64(uint64_t v, int by) {
	return (uint64_t)shfl_down((uint32_t)(v >> 32), by) << 32 | shfl_down((uint32_t)v, by);
}

DEVICE uint64_t sum64(State* s, uint64_t v) {
#pragma unroll
	for (int d = 16; d; d >>= 1) v += shfl_down64(v, d);
	sync_threads();
	if (lane() == 0) s->sums[warp()] = v;
	sync_threads();
	uint64_t sum = 0;
	for (int i = 0; i < WARPS; i++) sum += s->sums[i];
	return sum;
}

// top finds the largest value and the lowest id that has it, -1 if it is -Inf.
DEVICE void top(State* s, float& v, int& id) {
#pragma unroll
	for (int d = 16; d; d >>= 1) {
		float w = shfl_down(v, d);
		int other = shfl_down(id, d);
		if (w > v || (w == v && (uint32_t)other < (uint32_t)id)) v = w, id = other;
	}
	sync_threads();
	if (lane() == 0) s->tops[warp()] = v, s->ids[warp()] = id;
	sync_threads();
	v = s->tops[0], id = s->ids[0];
	for (int i = 1; i < WARPS; i++)
		if (s->tops[i] > v || (s->tops[i] == v && (uint32_t)s->ids[i] < (uint32_t)id)) v = s->tops[i], id = s->ids[i];
}

// reach finds, among tokens in order of their ids, the one at which the sum of mass(id) first is at least want, which is above 0;
// -1 if it never is. Each warp has a range of ids.
template <class Mass>
DEVICE int reach(State* s, int n, uint64_t want, Mass mass) {
	int per = (n + THREADS - 1) / THREADS * 32, first = warp() * per, end = first + per < n ? first + per : n;
	uint64_t sum = 0;
	for (int i = first + lane(); i < end; i += 32) sum += mass(i);
#pragma unroll
	for (int d = 16; d; d >>= 1) sum += shfl_down64(sum, d);
	sync_threads();
	if (lane() == 0) s->sums[warp()] = sum;
	if (tid() == 0) s->cut = -1;
	sync_threads();
	uint64_t before = 0;
	for (int i = 0; i < warp(); i++) before += s->sums[i];
	bool mine = before < want && before + s->sums[warp()] >= want;
	if (mine) { // one warp
		for (int i = first; i < end; i += 32) {
			uint64_t own = i + lane() < end ? mass(i + lane()) : 0, all = own;
#pragma unroll
			for (int d = 1; d < 32; d <<= 1) {
				uint64_t lower = (uint64_t)shfl_up((uint32_t)(all >> 32), d) << 32 | shfl_up((uint32_t)all, d);
				if (lane() >= d) all += lower;
			}
			uint32_t hit = ballot(before + all >= want);
			if (hit) {
				if (lane() == 0) s->cut = i + find_first(hit);
				break;
			}
			before += (uint64_t)shfl((uint32_t)(all >> 32), 31) << 32 | shfl((uint32_t)all, 31);
		}
	}
	sync_threads();
	return s->cut;
}

// boundary walks tokens by descending key, ties by ascending id, until their mass is at least want, a digit of the key at a time.
template <class Key, class Mass>
DEVICE Kept boundary(State* s, int n, uint64_t want, Key key, Mass mass) {
	if (tid() == 0) s->have = 0, s->last = 0;
	for (int shift = 22; shift >= 0; shift -= BITS) {
		sync_threads();
		for (int i = tid(); i < BINS; i += THREADS) s->mass[i] = 0;
		sync_threads();
		uint32_t above = shift == 22 ? 0 : 0xffffffffu << (shift + BITS), last = s->last;
		for (int i = tid(); i < n; i += THREADS) {
			uint64_t m = mass(i);
			if (m == 0) continue;
			uint32_t k = key(i);
			if (((k ^ last) & above) == 0) atomic_add(&s->mass[k >> shift & (BINS - 1)], m);
		}
		sync_threads();
		if (tid() == 0) {
			uint64_t have = s->have;
			int digit = -1;
			for (int i = BINS - 1; i >= 0; i--) {
				if (s->mass[i] == 0) continue;
				if (digit >= 0) have += s->mass[digit];
				digit = i;
				if (have + s->mass[i] >= want) break;
			}
			s->have = have;
			s->last |= (uint32_t)(digit > 0 ? digit : 0) << shift;
		}
	}
	sync_threads();
	Kept kept;
	kept.last = s->last;
	uint64_t have = s->have;
	int cut = reach(s, n, want > have ? want - have : 1, [&](int i) { return key(i) == kept.last ? mass(i) : (uint64_t)0; });
	kept.cut = cut < 0 ? n : cut;
	sync_threads();
	return kept;
}

// total is the mass of all tokens.
template <class Mass>
DEVICE uint64_t total(State* s, int n, Mass mass) {
	uint64_t sum = 0;
#pragma unroll 4
	for (int i = tid(); i < n; i += THREADS) sum += mass(i);
	return sum64(s, sum);
}

DEVICE bool keeps(const Kept& k, uint32_t key, int id) { return key > k.last || (key == k.last && id <= k.cut); }

// sample: grid: rows. Block: THREADS.
KERNEL_BOUNDS(sample, Sample, THREADS, 1) {
	SHARED(State, s, 1);
	griddep_launch();
	griddep_wait();
	const Draw d = p.draws[bid_x()];
	if (!d.use) return;
	int n = p.vocab;
	const float* logits = p.logits + (int64_t)bid_x() * n;
	float* work = p.work + (int64_t)bid_x() * n;
	constexpr double UNIT = 1099511627776.0; // 2^40

	// The model's own distribution, and the logits that mask, bias and penalties leave.
	float most = -infinity();
	int best = -1;
#pragma unroll 8
	for (int i = tid(); i < n; i += THREADS) { // one block reads all: many loads at once
		float l = logits[i];
		l = l != l ? -infinity() : l > LARGEST ? LARGEST : l;
		if (l > most) most = l, best = i;
		work[i] = l;
	}
	top(s, most, best);
	uint64_t mass = 0;
#pragma unroll 8
	for (int i = tid(); i < n; i += THREADS) mass += (uint64_t)(expf(work[i] - most) * (float)UNIT);
	double z = (double)most + log((double)sum64(s, mass) / UNIT);
	auto logprob = [&](int id) {
		float l = logits[id];
		return l > -infinity() ? (double)(l > LARGEST ? LARGEST : l) - z : -(double)infinity();
	};
	if (tid() == 0) {
		if (d.target >= 0) p.out[bid_x()].target_logprob = logprob(d.target);
		for (int i = 0; i < d.biases; i++) { // an id may come twice
			int id = (int)p.words[d.bias + 2 * i];
			if (id >= 0 && id < n) work[id] = fminf(work[id] + bits_float(p.words[d.bias + 2 * i + 1]), LARGEST);
		}
	}
	sync_threads();
	for (int i = tid(); i < d.seens; i += THREADS) {
		int id = (int)p.words[d.seen + 2 * i], times = (int)p.words[d.seen + 2 * i + 1];
		if (id < 0 || id >= n || times <= 0) continue;
		float l = work[id];
		l = l > 0 ? l / d.repeat : l * d.repeat;
		work[id] = fminf(l - (d.frequency * (float)times + d.presence), LARGEST);
	}
	sync_threads();
	if (d.mask >= 0 || d.biases > 0 || d.seens > 0) {
		most = -infinity(), best = -1;
#pragma unroll 8
		for (int i = tid(); i < n; i += THREADS) {
			if (d.mask >= 0 && (i / 32 >= d.mask_words || (p.words[d.mask + i / 32] >> i % 32 & 1) == 0)) work[i] = -infinity();
			if (work[i] > most) most = work[i], best = i;
		}
		top(s, most, best);
	}
	int id = best;
	if (d.temperature > 0 && best >= 0) {
		float cold = (float)(1 / d.temperature);
		Kept all;
		all.last = 0, all.cut = n;
		Kept top_k = all, typical = all, top_p = all;
		uint64_t least = 0;
		double entropy = 0, whole = 1;
		auto key = [&](int i) { return order(work[i]); };
		auto weight = [&](int i) { return (uint64_t)(expf((work[i] - most) * cold) * (float)UNIT); };
		if (d.top_k > 0 && d.top_k < n)
			top_k = boundary(s, n, (uint64_t)d.top_k, key, [&](int i) { return (uint64_t)(work[i] > -infinity()); });
		auto first = [&](int i) { return keeps(top_k, key(i), i) ? weight(i) : (uint64_t)0; };
		// Surprise's distance from the entropy, nearest first.
		auto near = [&](int i) { return ~float_bits((float)fabs(-log((double)weight(i) / whole) - entropy)); };
		if (d.typical > 0 && d.typical < 1) {
			whole = (double)total(s, n, first);
			entropy = (double)total(s, n, [&](int i) { // in units of 2^-40 too: at most log(vocab)
				uint64_t w = first(i);
				return w ? (uint64_t)(-((double)w / whole) * log((double)w / whole) * UNIT) : (uint64_t)0;
			}) / UNIT;
			typical = boundary(s, n, (uint64_t)ceil(d.typical * whole), near, first);
		}
		bool by_surprise = d.typical > 0 && d.typical < 1;
		auto second = [&](int i) {
			uint64_t w = first(i);
			return w && by_surprise && !keeps(typical, near(i), i) ? (uint64_t)0 : w;
		};
		if (d.top_p > 0 && d.top_p < 1) top_p = boundary(s, n, (uint64_t)ceil(d.top_p * (double)total(s, n, second)), key, second);
		auto third = [&](int i) {
			uint64_t w = second(i);
			return w && w >= least && keeps(top_p, key(i), i) ? w : (uint64_t)0;
		};
		if (d.min_p > 0) {
			float greatest = -infinity();
			int which = -1;
			for (int i = tid(); i < n; i += THREADS)
				if (third(i) && work[i] > greatest) greatest = work[i], which = i;
			top(s, greatest, which);
			if (which >= 0) least = (uint64_t)ceil((d.min_p < 1 ? d.min_p : 1) * (double)weight(which));
		}
		id = reach(s, n, (uint64_t)(d.draw * (double)total(s, n, third)) + 1, third);
		if (id < 0) id = best;
	}
	if (tid() == 0) {
		p.out[bid_x()].id = id;
		if (d.slot >= 0) p.last[d.slot] = id;
		p.out[bid_x()].logprob = id >= 0 ? logprob(id) : -(double)infinity();
	}
}
