// Package tokenizer turns text into the ids of a BPE vocabulary and back: byte-level
// ones, those of Llama 3.1, of SmolLM2, and of other models whose GGUF file says
// tokenizer.ggml.model = gpt2, and SentencePiece's, those of Llama 2, TinyLlama and
// Mistral (tokenizer.ggml.model = llama; sentencepiece.go). It knows nothing of files or models: a [Vocab]
// comes from whoever read one, or from [ReadTiktoken] or [ReadHuggingFace].
//
//	t, err := tokenizer.New(vocab)
//	ids := t.Encode(nil, "Hello, world!") // user text: never a control token
//	text := t.Decode(ids)                 // "Hello, world!"
//
// # How a text becomes ids
//
//  1. Control and user-defined tokens are cut out (special.go). Control tokens
//     such as <|eot_id|> come from [Tokenizer.EncodeSpecial] only, which is for
//     the text of a chat template; in [Tokenizer.Encode] they are plain text,
//     so no user can end a turn by typing it.
//  2. What is between them is split into pieces, roughly words (split.go). The
//     models define this by a regular expression; here it is written by hand,
//     one pass and no allocation.
//  3. A piece that is a token is that token. Any other is merged from its bytes,
//     always the pair of the lowest rank first (merge.go): short pieces by
//     scanning, long ones with a heap, so that a megabyte without a space takes
//     well under a second.
//
// The ids are those of Hugging Face's tokenizers: none differs on the 100,000
// texts in 21 scripts that testdata/write.py makes. Known to differ is SmolLM2 on
// the 13 numbers that are new in Unicode 17. The same holds for SentencePiece's with
// a published vocabulary of 32,000 tokens (testdata/pieces.py).
//
// Bytes that are no UTF-8 are kept: they count as punctuation, and
// Decode(Encode(s)) == s for every s if the vocabulary has all 256 bytes, as Llama
// 3.1's has. SmolLM2's lacks 21 of them, which are dropped.
//
// # What tiktoken-go does here
//
// A pre-tokenizer that is not written by hand can be given as the regular
// expression that defines it, [Vocab].Pattern; github.com/pkoukk/tiktoken-go
// then splits and merges. It also is the oracle of this package's fuzz tests.
// It does not serve the common case because it is ten times slower, quadratic
// in the length of a piece (100,000 spaces take 4.5 s), and turns bytes that are
// no UTF-8 into U+FFFD; see pattern.go for how that is fenced in.
//
// Source of the algorithm: Sennrich et al., Neural Machine Translation of Rare
// Words with Subword Units (2016), on bytes as in GPT-2 (Radford et al., 2019).
package tokenizer
