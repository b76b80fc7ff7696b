// Package tinymodel is a language model in the program itself: Llama 3.1's architecture, tokenizer and chat format in a GGUF file of
// a few megabytes, embedded.
//
//	m, err := tinymodel.Open(ctx, nil)
//	...
//	defer m.Close()
//	r, err := m.Generate(ctx, llama.Request{Messages: []llama.Message{llama.User("Tell me a story about a brave cat.")}})
//
// It tells short stories about the hero, the place or the thing that it is asked for, greets, says what it is and how to run a real
// model, and has nothing but an excuse for anything else. It is for demonstrations and for tests that need a model that answers: a
// program can offer it where no model file was given. Package llama does not import it; only programs that do carry it.
//
// README.md beside this file tells how it was made, from a corpus that ./corpus writes, by train.py and export.py; ./evaluate measures it.
package tinymodel
