// Command gen compiles the kernels: each kernels/cuda/*.cu becomes machine code for sm_90a (cubin) and PTX for compute_90a and
// compute_80, compressed, in kernels/cuda/code, which package cuda embeds. It also writes kernels/cuda/kernels.md, a table of the
// registers, shared memory and spills of each kernel.
//
//	go run ./kernels/cuda/gen [-check] [-nvidia FOLDER]
//
// With -check it writes nothing and fails if what it made differs from what is there. It needs no GPU, but NVIDIA's compiler, from
// PyPI: pip install nvidia-cuda-nvrtc-cu12==12.4.127 nvidia-cuda-nvcc-cu12==12.4.131. FOLDER is their folder "nvidia" in
// site-packages; without the flag python3 is asked for it.
package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// folder holds the kernels; all commands run from the module's root.
const folder = "kernels/cuda"

// targets are what every source is compiled for. Machine code comes from NVRTC too.
var targets = []struct{ arch, suffix, ptxas string }{
	{"sm_90a", "sm_90a.cubin", ""},
	{"compute_90a", "compute_90a.ptx", "sm_90a"},
	{"compute_80", "compute_80.ptx", "sm_80"},
}

// maxFile is the largest file that goes into the repository.
const maxFile = 4 << 20

func main() {
	check := flag.Bool("check", false, "compare with the files that are there instead of writing")
	nvidia := flag.String("nvidia", "", "the folder `nvidia` of site-packages (default: where python3 finds it)")
	flag.Parse()
	if err := run(*check, *nvidia); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(check bool, nvidia string) error {
	if nvidia == "" {
		out, err := exec.Command("python3", "-c", "import nvidia; print(list(nvidia.__path__)[0])").Output()
		if err != nil {
			return fmt.Errorf("python3 finds no package nvidia: %w", err)
		}
		nvidia = strings.TrimSpace(string(out))
	}
	compiler, err := openNVRTC(nvidia)
	if err != nil {
		return err
	}
	headers := map[string]string{}
	names, err := filepath.Glob(filepath.Join(folder, "*.cuh"))
	if err != nil {
		return err
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		headers[filepath.Base(name)] = string(text)
	}
	sources, err := filepath.Glob(filepath.Join(folder, "*.cu"))
	if err != nil {
		return err
	}

	files := map[string][]byte{} // path to content, uncompressed
	usage := table{}
	for _, source := range sources {
		text, err := os.ReadFile(source)
		if err != nil {
			return err
		}
		name := strings.TrimSuffix(filepath.Base(source), ".cu")
		for _, t := range targets {
			code, err := compiler.compile(filepath.Base(source), string(text), headers, t.arch)
			if err != nil {
				return fmt.Errorf("%s for %s: %w", source, t.arch, err)
			}
			files[filepath.Join(folder, "code", name+"."+t.suffix+".gz")] = code
			if t.ptxas == "" {
				continue
			}
			if err := usage.add(nvidia, t.ptxas, code); err != nil {
				return fmt.Errorf("%s for %s: %w", source, t.ptxas, err)
			}
		}
	}
	files[filepath.Join(folder, "kernels.md")] = usage.markdown()

	selftest := filepath.Join(folder, "testdata", "selftest.cu")
	text, err := os.ReadFile(selftest)
	if err != nil {
		return err
	}
	for _, t := range targets {
		if t.ptxas == "" {
			continue
		}
		code, err := compiler.compile("selftest.cu", string(text), headers, t.arch)
		if err == nil {
			err = table{}.add(nvidia, t.ptxas, code)
		}
		if err != nil {
			return fmt.Errorf("%s for %s: %w", selftest, t.arch, err)
		}
		files[filepath.Join(folder, "testdata", "selftest."+t.suffix)] = code
	}
	old, err := filepath.Glob(filepath.Join(folder, "code", "*.gz"))
	if err != nil {
		return err
	}
	if check {
		return compare(files, old)
	}
	return write(files, old)
}

// compare fails for each file that is missing, too much, or other than what was made.
func compare(files map[string][]byte, old []string) error {
	var errs []error
	for path, want := range files {
		got, err := read(path)
		switch {
		case err != nil:
			errs = append(errs, err)
		case !bytes.Equal(got, want):
			errs = append(errs, fmt.Errorf("%s differs from what its source gives: go run ./kernels/cuda/gen", path))
		}
	}
	for _, path := range old {
		if files[path] == nil {
			errs = append(errs, fmt.Errorf("%s has no source any more", path))
		}
	}
	return errors.Join(errs...)
}

func write(files map[string][]byte, old []string) error {
	if err := os.MkdirAll(filepath.Join(folder, "code"), 0o755); err != nil {
		return err
	}
	for _, path := range old {
		if files[path] == nil {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	for path, content := range files {
		if got, err := read(path); err == nil && bytes.Equal(got, content) {
			continue // another release of Go may compress in another way
		}
		if filepath.Ext(path) == ".gz" {
			var b bytes.Buffer
			z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
			if err != nil {
				return err
			}
			if _, err := z.Write(content); err != nil {
				return err
			}
			if err := z.Close(); err != nil {
				return err
			}
			content = b.Bytes()
		}
		if len(content) > maxFile {
			return fmt.Errorf("%s has %d bytes, at most %d go into the repository", path, len(content), maxFile)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// read gives a file's content, uncompressed.
func read(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil || filepath.Ext(path) != ".gz" {
		return b, err
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return io.ReadAll(z)
}
