// Package cuda runs models on NVIDIA GPUs: import it for its effect, and "cuda" is a kind of device.
//
//	import _ "github.com/llama31/llama31/kernels/cuda"
//
// It needs the driver's library and nothing else: no cgo, no CUDA toolkit. The kernels (*.cu) are compiled ahead of time and
// embedded, as machine code for sm_90a (H100, H200) and as PTX that the driver compiles for other cards of compute capability
// 8.0 or later. Importing it links a program dynamically; a program without it stays one static file.
package cuda
