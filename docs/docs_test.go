// Package docs tests what is written: programs compile, and links within the repository lead somewhere.
package docs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// pages are all Markdown files of the repository.
func pages(t *testing.T) map[string]string {
	all := map[string]string{}
	err := filepath.WalkDir("..", func(p string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "fetched" || strings.HasPrefix(d.Name(), ".") && p != "..") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(p, ".md") {
			b, err := os.ReadFile(p)
			all[filepath.ToSlash(p)] = string(b)
			return err
		}
		return nil
	})
	if err != nil || len(all) < 5 {
		t.Fatal(all, err)
	}
	return all
}

// TestPrograms compiles the programs of all pages, as they are printed.
func TestPrograms(t *testing.T) {
	dir, err := os.MkdirTemp(".", "programs") // in the module
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	n := 0
	for page, text := range pages(t) {
		for _, m := range regexp.MustCompile("(?s)\n```go\n(package main\n.*?)```").FindAllStringSubmatch(text, -1) {
			n++
			into := filepath.Join(dir, fmt.Sprint("p", n))
			if err := os.MkdirAll(into, 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(into, "main.go"), []byte("// Of "+page+"\n"+m[1]), 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n < 7 {
		t.Errorf("%d programs were found", n)
	}
	if out, err := exec.Command("go", "vet", "./"+filepath.ToSlash(dir)+"/...").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := exec.Command("gofmt", "-l", dir).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("gofmt would change %s (%v)", out, err)
	}
}

// TestLinks follows the links within the repository, and looks for the programs that commands name.
func TestLinks(t *testing.T) {
	for page, text := range pages(t) {
		for _, m := range regexp.MustCompile(`\]\(([^)#:\s]+)(?:#[^)]*)?\)`).FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), filepath.FromSlash(m[1]))); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
		for _, m := range regexp.MustCompile(`go run (\./[\w./-]+)`).FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join("..", filepath.FromSlash(m[1]))); err != nil {
				if _, err := os.Stat(filepath.Join(filepath.Dir(page), filepath.FromSlash(m[1]))); err != nil {
					t.Errorf("%s: go run %s: %v", page, m[1], err)
				}
			}
		}
	}
}
