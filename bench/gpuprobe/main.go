// Gpuprobe measures what limits generation on an NVIDIA GPU: the speed of reading memory, and the time that starting a kernel takes.
//
//	go run ./bench/gpuprobe [-device N]
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/llama31/llama31/kernels/cuda"
)

func main() {
	device := flag.Int("device", 0, "number of the device")
	flag.Parse()
	p, err := cuda.RunProbe(*device)
	if err != nil {
		fmt.Fprintln(os.Stderr, "gpuprobe:", err)
		os.Exit(1)
	}
	fmt.Printf("%s, CUDA %s\n\n", p.Name, p.Driver)
	fmt.Println("| reading memory, GB/s | a launch by the program | kernel to kernel, launched one by one | in a graph |\n|--:|--:|--:|--:|")
	fmt.Printf("| %.0f | %v | %v | %v |\n", p.Read, p.Call, p.Launch, p.Graph)
}
