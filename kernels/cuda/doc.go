// Package cuda runs models on NVIDIA GPUs: import it for its effect, and "cuda" is a kind of device.
//
//	import _ "github.com/llama31/llama31/kernels/cuda"
//
// It needs the driver's library and nothing else: no cgo, no CUDA toolkit. The kernels (*.cu) are compiled ahead of time and
// embedded, as machine code for sm_90a (H100, H200) and as PTX that the driver compiles for other cards of compute capability
// 8.0 or later. Importing it links a program dynamically; a program without it stays one static file.
//
// # Arithmetic
//
// Weights stay quantised in device memory, repacked at upload into records of 16 rows by 256 values that a warp reads 16 bytes a
// lane (weights.cuh); F16 and BF16 take 16 bits, F32 twice that, each row times a power of two, so that nothing is lost. Activations
// are float16. What SwiGLU gives is not bounded as float16 is (65504), so it is stored divided by 64. Products are those of
// mma.sync m16n8k16, with the weights as A: their integers are exact in float16, summed in float32 over the 16 or 32 values that
// share a scale, then
//
//	y = fma(scale, Σ q·x, y)         block after block along k
//	y = fma(offset, Σ x, y)          where the format has offsets
//
// k is cut into up to eight parts of whole records, a number that follows from the weight's shape; each is summed alone, then the
// parts are added in order. Attention gives each 64 positions a softmax of their own, merged in order inside segments of 512, the
// segments merged in order. Every kernel does exactly this, whatever the number of rows, so a token's KV and logits do not
// depend on the batch it ran in, nor on how its prompt was cut.
//
// What follows a product is done where it ends, as long as its values are at hand: rope and the store of keys and values behind those of
// Q, K and V (up to 32 rows), SwiGLU behind gate and up, the residual, and for one or two rows the next RMSNorm, by the block that ends
// last. The kernels that do these by themselves compute the same in the same order. TestLaunches counts what is left to launch.
//
// Kernels with wgmma, for prompts on an H100 or H200, are taken with LLAMA31_CUDA_WGMMA=1, and only for formats of which they give the same bits on the card at hand: that is tried at loading.
//
// Against the reference (float32 activations, float64 sums) the normalised squared error of logits and hidden states is below
// 1e-5 in every test of the device suite, with KV of 8 bits below 2e-3 (TestDevice, TestDeviceQ8).
package cuda
