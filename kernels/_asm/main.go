// Command asm writes the assembly of one row of the leaf table. Its own module keeps avo out of the library's dependencies.
//
//	go run . -set avx2 -pkg kernels -out ../leaf_avx2_amd64.s -stubs ../leaf_avx2_amd64.go
//
// A set is one instruction set; `go generate` in package kernels runs all of them.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/mmcloughlin/avo/build"

	"github.com/llama31/llama31/kernels/_asm/avx512"
)

var sets = map[string]func(){
	"avx2":    avx2,
	"avxvnni": avxvnni,
	"avx512":  avx512.Emit,
}

func main() {
	set := flag.String("set", "", "instruction set to write")
	flag.Parse() // avo registers -out, -stubs and -pkg
	emit, ok := sets[*set]
	if !ok {
		fmt.Fprintf(os.Stderr, "asm: no set %q\n", *set)
		os.Exit(2)
	}
	build.ConstraintExpr("amd64,!noasm")
	emit()
	build.Generate()
	out := flag.Lookup("out").Value.String()
	if text, err := os.ReadFile(out); err != nil {
		fail(err)
	} else if err := os.WriteFile(out, avx512.Encode(text), 0o644); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "asm:", err)
	os.Exit(1)
}
