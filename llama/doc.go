// Package llama runs Llama 3.1, and every GGUF model of the llama architecture, inside a Go program.
//
//	m, err := llama.Open(ctx, "Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf", nil)
//	if err != nil { … }
//	defer m.Close()
//	for tok, err := range m.Stream(ctx, llama.Request{Messages: []llama.Message{llama.User("Why is the sky blue?")}}) {
//		if err != nil { … }
//		fmt.Print(tok.Text)
//	}
//
// A [Model] is safe for concurrent use: requests that run at once share each pass over the weights, and requests that start alike
// share the work on what they have in common. An answer does not depend on what else runs: the same request with the same seed gives
// the same text, alone or beside others, on any number of threads.
//
// An answer can be held to a [Format]: a JSON Schema, the type of a Go value ([GenerateInto]), a regular expression or a grammar. A
// model calls the [Tool]s of a request, and [RunTools] runs Go functions for it.
package llama
