package gguf

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
)

var splitName = regexp.MustCompile(`^(.*)-(\d{5})-of-(\d{5})\.gguf$`)

// splitCount is in how many files the model is split, 1 if it is not.
func (f *File) splitCount() (uint64, error) {
	if !f.Has("split.count") {
		return 1, nil
	}
	return f.Uint("split.count")
}

// openSplit opens all files of the split model of which path is one. Each file
// says its number, from 0, in split.no and how many there are in split.count; the
// first has the metadata.
func openSplit(path string, o *Options) (*File, error) {
	parts := splitName.FindStringSubmatch(filepath.Base(path))
	if parts == nil {
		return nil, fmt.Errorf("gguf: %s: %w: one of several files must be named NAME-00001-of-0000N.gguf", path, ErrSplit)
	}
	count, err := strconv.Atoi(parts[3])
	if err != nil || count < 1 {
		return nil, fmt.Errorf("gguf: %s: %w: %s files by its name", path, ErrSplit, parts[3])
	}
	var all *File
	fail := func(path, format string, args ...any) (*File, error) {
		if all != nil {
			all.Close()
		}
		return nil, fmt.Errorf("gguf: %s: %w: %w", path, ErrSplit, fmt.Errorf(format, args...))
	}
	for i := range count {
		p := filepath.Join(filepath.Dir(path), fmt.Sprintf("%s-%05d-of-%05d.gguf", parts[1], i+1, count))
		f, err := openShard(p, o)
		if err != nil {
			return fail(p, "%w", err)
		}
		no, errNo := f.Uint("split.no")
		n, errCount := f.Uint("split.count")
		if errNo != nil || errCount != nil || no != uint64(i) || n != uint64(count) {
			defer f.Close()
			return fail(p, "expected split.no %d and split.count %d, found %v and %v", i, count, f.Value("split.no"), f.Value("split.count"))
		}
		if all == nil {
			all = f
			continue
		}
		for _, t := range f.tensors {
			if _, twice := all.index[t.Name]; twice {
				defer f.Close()
				return fail(p, "%w: tensor %s is in an earlier file too", ErrDuplicate, printable(t.Name))
			}
			t.Shard = i
			all.index[t.Name] = len(all.tensors)
			all.tensors = append(all.tensors, t)
		}
		all.Size += f.Size
		all.shards = append(all.shards, f.shards...) // f itself is forgotten: all closes them
	}
	if all.Has("split.tensors.count") {
		want, err := all.Uint("split.tensors.count")
		if err != nil || want != uint64(len(all.tensors)) {
			return fail(path, "expected %v tensors (split.tensors.count), found %d", all.Value("split.tensors.count"), len(all.tensors))
		}
	}
	return all, nil
}
