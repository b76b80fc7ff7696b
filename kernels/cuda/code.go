package cuda

import (
	"bytes"
	"compress/gzip"
	"embed"
	"errors"
	"fmt"
	"io"
)

//go:generate go run ./gen

// code holds what package gen made of each NAME.cu: NAME.sm_90a.cubin.gz, NAME.compute_90a.ptx.gz and NAME.compute_80.ptx.gz.
//
//go:embed code
var code embed.FS

// load loads the kernels of name.cu in the form that suits the device: machine code for compute capability 9.0, else PTX.
func (g *gpu) load(name string) (*module, error) {
	forms := []string{"compute_80.ptx"}
	if g.capability() == 90 {
		forms = []string{"sm_90a.cubin", "compute_90a.ptx", "compute_80.ptx"}
	}
	for _, form := range forms {
		image, err := readCode(name + "." + form)
		if err != nil {
			return nil, err
		}
		m, err := g.loadModule(name+"."+form, image)
		if err == nil {
			m.waits = form != "compute_80.ptx"
		}
		if !errors.Is(err, errNoBinary) {
			return m, err
		}
	}
	return nil, fmt.Errorf("%s on %s: %w", name, g.properties.name, errNoBinary)
}

func readCode(name string) ([]byte, error) {
	b, err := code.ReadFile("code/" + name + ".gz")
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return io.ReadAll(z)
}
