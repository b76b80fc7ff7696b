package tokenizer_test

import (
	"fmt"
	"log"

	"github.com/llama31/llama31/tokenizer"
)

// vocabulary is all bytes, two words that merging makes, and a control token.
func vocabulary() tokenizer.Vocab {
	v := tokenizer.Vocab{Pre: "llama-bpe"}
	next := rune(256)
	for b := range rune(256) { // GPT-2's letters of bytes
		if '!' <= b && b <= '~' || 0xA1 <= b && b <= 0xAC || 0xAE <= b {
			v.Tokens = append(v.Tokens, string(b))
		} else {
			v.Tokens = append(v.Tokens, string(next))
			next++
		}
	}
	v.Tokens = append(v.Tokens, "Hi", "Ġt", "Ġth", "Ġthe", "Ġther", "Ġthere", "<|eot_id|>")
	v.Types = make([]int32, len(v.Tokens))
	for i := range v.Types {
		v.Types[i] = int32(tokenizer.Normal)
	}
	v.Types[len(v.Types)-1] = int32(tokenizer.Control)
	return v
}

func Example() {
	t, err := tokenizer.New(vocabulary())
	if err != nil {
		log.Fatal(err)
	}
	ids := t.Encode(nil, "Hi there")
	fmt.Println(ids, t.Decode(ids))

	// Only the text of a template has control tokens.
	const end = "Hi<|eot_id|>"
	fmt.Println(len(t.Encode(nil, end)), t.EncodeSpecial(nil, end))
	// Output:
	// [256 261] Hi there
	// 11 [256 262]
}

// A stream of tokens becomes a stream of text: a character whose bytes are not all there is held back.
func ExampleDecoder() {
	t, err := tokenizer.New(vocabulary())
	if err != nil {
		log.Fatal(err)
	}
	d := t.NewDecoder()
	for _, id := range t.Encode(nil, "Hi é🙂") {
		fmt.Printf("%q ", d.Next(id))
	}
	fmt.Printf("%q\n", d.Flush())
	// Output:
	// "Hi" " " "" "é" "" "" "" "🙂" ""
}
