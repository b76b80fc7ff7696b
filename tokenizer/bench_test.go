package tokenizer_test

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/llama31/llama31/tokenizer"
)

var textFile = flag.String("text", "../LICENSE", "English text for BenchmarkEncode, repeated to 1 MB")

func BenchmarkNew(b *testing.B) {
	for name, read := range map[string]func(testing.TB) tokenizer.Vocab{"llama-3.1": llama31Vocab, "smollm2": smollm2Vocab} {
		b.Run(name, func(b *testing.B) {
			v := read(b)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := tokenizer.New(v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	english, err := os.ReadFile(*textFile)
	if err != nil {
		b.Fatal(err)
	}
	const chinese = "视野无限广，窗外有蓝天。人工智能正在改变世界，我们应该如何应对？"
	const russian = "Съешь же ещё этих мягких французских булок, да выпей чаю, пожалуйста! "
	const code = "func (t *T) Get(k string) (v int, ok bool) {\n\tv, ok = t.m[k]\n\treturn v, ok // 0x7f\n}\n"
	for name, model := range models {
		for _, text := range []struct{ name, text string }{
			{"english", string(english)}, {"code", code}, {"russian", russian}, {"chinese", chinese},
		} {
			b.Run(name+"/"+text.name, func(b *testing.B) {
				tok := model(b)
				s := strings.Repeat(text.text, 1<<20/len(text.text)+1)
				ids := tok.Encode(nil, s)
				b.SetBytes(int64(len(s)))
				b.ReportAllocs()
				for b.Loop() {
					ids = tok.Encode(ids[:0], s)
				}
			})
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	tok := models["llama-3.1"](b)
	ids := tok.Encode(nil, strings.Repeat("The quick brown fox jumps over the lazy dog. ", 20000))
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = tok.AppendDecode(dst[:0], ids, false)
	}
	b.SetBytes(int64(len(dst)))
}

// hostileTexts are a megabyte each that naive tokenizers take minutes for; in short form, which -race is run with, 64 kB.
func hostileTexts() map[string]string {
	mb := 1 << 20
	if testing.Short() {
		mb = 1 << 16
	}
	return map[string]string{
		"letter":      strings.Repeat("a", mb),
		"spaces":      strings.Repeat(" ", mb),
		"spaces+x":    strings.Repeat(" ", mb) + "x",
		"newline+":    "\n" + strings.Repeat(" ", mb) + "x",
		"digits":      strings.Repeat("1234567890", mb/10),
		"zeros":       strings.Repeat("0", mb),
		"chinese":     strings.Repeat("视野无限广窗外有蓝天人工智能正在改变世界", mb/60),
		"punctuation": strings.Repeat("=", mb),
		"newlines":    strings.Repeat("\n", mb),
		"space-nl":    strings.Repeat(" \n", mb/2),
		"emoji":       strings.Repeat("👩‍👩‍👧‍👦", mb/25),
		"invalid":     strings.Repeat("\xff\xe2\x82", mb/3),
		"brackets":    strings.Repeat("<|", mb/2),
		"special":     strings.Repeat("<|eot_id", mb/8),
		"letters":     strings.Repeat("etaoinshrdlucmfwypvbgkjqxz", mb/26),
		"quotes":      strings.Repeat("'", mb),
	}
}

func TestHostileTexts(t *testing.T) {
	for name, model := range models {
		tok := model(t)
		for text, s := range hostileTexts() {
			start := time.Now()
			ids := tok.EncodeSpecial(nil, s)
			took := time.Since(start)
			if name == "llama-3.1" && tok.Decode(ids) != s {
				t.Errorf("%s, %s: does not decode to itself", name, text)
			}
			// A second is the aim; the rest is for slow machines and -race.
			if took > 10*time.Second {
				t.Errorf("%s, %s: 1 MB took %v", name, text, took)
			}
			t.Logf("%-10s %-12s %6d ms, %7d ids", name, text, took.Milliseconds(), len(ids))
		}
	}
}
