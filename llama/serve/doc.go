// Package serve answers the HTTP APIs that programs already speak: OpenAI's chat completions, completions, embeddings, models and
// responses, and Anthropic's messages. What it answers with is a [llama.Generator], most often a *llama.Model:
//
//	http.ListenAndServe("127.0.0.1:8080", serve.Handler(m, serve.Options{}))
//
// Beside these there are /tokenize and /detokenize, /health, /ready, /metrics in Prometheus's format under vLLM's names, and
// /openapi.json, which says what each endpoint takes. Fields that an endpoint does not know are passed over, as OpenAI does; those of
// a wrong type or value are refused with status 400 and the field's name.
//
// Requests are batched by the model. One that waits, or whose client reads slowly, holds up nobody: what a client does not take within
// Options.WriteTimeout ends its request, and so does its going away.
package serve
