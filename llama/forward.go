package llama

import "github.com/llama31/llama31/kernels"

// forward is the transformer: RMSNorm, grouped-query attention with rotary positions, SwiGLU (Llama 3 model card, section 3 of "The
// Llama 3 Herd of Models"). Each row of the batch is one token of one sequence; the device holds the residual stream.
func (w *weights) forward(o kernels.Ops) {
	o.Embed(w.tokenEmbd)
	for i := range w.layers {
		l := &w.layers[i]
		o.NormQKV(l.attnNorm, l.attnQ, l.attnK, l.attnV)
		o.RopeStore(i)
		o.Attend(i)
		o.ProjectAdd(l.attnOutput)
		o.NormGateUp(l.ffnNorm, l.ffnGate, l.ffnUp)
		o.ProjectAdd(l.ffnDown)
	}
	o.Norm(w.outputNorm)
	o.Logits(w.output)
}
