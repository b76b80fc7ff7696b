// Package kernels holds the operations of a Llama transformer, on devices.
//
// A [Device] is the one seam between the model and the machine. The forward pass is written once, in package llama, over the
// fused operations of [Ops]; three implementations exist:
//
//   - reference: plain Go, float32 activations, float64 sums. It is the specification, and never fast.
//   - cpu: worker pool and SIMD leaf functions; see below for its arithmetic.
//   - cuda: package kernels/cuda, registered when that package is imported.
//
// # The CPU's arithmetic
//
// Activations are quantised to int8 with one scale per 32 values: scale = max|x|/limit, q = round-to-nearest-even(x·limit/max|x|). The
// limit is 127, or less if a product of the operand is with a format of 6 bits or fewer (see winograd.go).
// A weight row's 32 values are integers q with a scale and, where the format has one, an offset. Q6_K, Q3_K, IQ2_XS, IQ2_S and IQ1_M have a scale per 16; Q2_K has an offset per 16,
// and its scales of 4 bits, which are per 16 too, are multiplied into values of 2 bits.
// For row r and token t and each block b of 32 along k
//
//	s   = Σ q[r]·q[t]                                  an exact integer, one per scale
//	p_j = fma(float32(s), wscale·ascale, p_j)          j = b mod 8; with two scales, of the sums s and s' of 16:
//	p_j = fma(fma(float32(s'), wscale', float32(s)·wscale), ascale, p_j)
//	p_j = fma(offset, float32(Σ q[t])·ascale, p_j)     where the format has offsets
//	y   = 0 + p_0 + p_1 + … + p_7                      in this order
//
// Every path (a row dot for generation, a 16-row panel for prompts, any number of tokens, any instruction set with fused
// multiply-add) does exactly this in this order, so all give the same bits. Nothing is requantised. Float formats keep float32
// activations: 16 partial sums along k (lane i takes k ≡ i mod 16, fused), then added in order 0 … 15. Where a CPU multiplies bfloat16, BF16 weights take activations
// rounded to it, with pairs of values in the place of values; on AMX in the order of its own instruction, 32 values after 32.
//
// AttnV takes wide activations: what the rounding of a row left over is quantised alike, as a second row, and the two products are
// added (some 15 bits). So are the output head's largest logits, at most 128 of a row: those that matter for what is drawn, whose rounding nothing
// averages. On English text these two bring SmolLM2 Q4_1 from a divergence of 0.0023 to 0.0012 from float32; a prompt of the 8B model has 2% more products.
//
// Attention works in KV pages of [PageSize] positions, keys stored [head_dim][PageSize], values [PageSize][head_dim]. Pages are
// taken in order inside segments of [SegmentSize] positions; the segments' (max, sum, output) are merged in ascending order, for
// prompts and generation alike. So a token's KV and logits are a pure function of the weights, the options, the instruction set
// and the tokens before it, not of batch, chunking or threads.
package kernels
