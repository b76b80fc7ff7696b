package kernels_test

import (
	"testing"

	"github.com/llama31/llama31/kernels"
	"github.com/llama31/llama31/kernels/kerneltest"
)

func openReference(s kernels.Shape) (kernels.Device, error) {
	return kernels.Open("reference", s, kernels.Options{})
}

// The suite against itself: that it can pass, and that it finds its way.
func TestReference(t *testing.T) {
	kerneltest.Run(t, openReference, kerneltest.Options{Exact: true, NMSE: 1e-30, Max: 1e-30})
}

func TestReferenceDeterministic(t *testing.T) {
	kerneltest.Deterministic(t, openReference, kerneltest.Options{})
}
