package kernels

// SampleScratch and SampleRow let the external tests, which import kerneltest, at the sampler.
type SampleScratch = sampleScratch

var (
	SampleRow = sampleRow
	ExpNeg    = expNeg
)
