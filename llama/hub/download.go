package hub

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// A download is one file on its way. What there is of it lies in NAME.part, and what the server said of it in NAME.part.json.
type download struct {
	*folder
	File           // as far as it is known by now
	stated   File  // as the listing or the name has it
	done     int64 // bytes in the part
	progress func()

	part *os.File
	hash hash.Hash // of what is in the part
	etag string    // strong, "" if there is none
}

// state is what is kept of a part.
type state struct {
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	ETag   string `json:"etag"`
}

const parts, states = ".part", ".part.json"

// resume finds out how much of the file is there already and may be continued.
func (d *download) resume() {
	var s state
	data, err := d.root.ReadFile(d.Path + states)
	if err != nil || json.Unmarshal(data, &s) != nil {
		return
	}
	part, err := d.root.Stat(d.Path + parts)
	if err != nil || !part.Mode().IsRegular() || d.Size > 0 && s.Size != d.Size || s.Size > 0 && part.Size() > s.Size {
		return
	}
	switch {
	case d.SHA256 != "" && s.SHA256 == d.SHA256:
	case d.SHA256 == "" && s.ETag != "":
		d.SHA256, d.etag = s.SHA256, s.ETag
	default:
		return
	}
	d.Size, d.done = s.Size, part.Size()
}

// run fetches the file, verifies it and gives it its name.
func (d *download) run(ctx context.Context) (err error) {
	if dir := path.Dir(d.Path); dir != "." {
		if err := d.root.MkdirAll(filepath.FromSlash(dir), 0o777); err != nil {
			return err
		}
	}
	if d.part, err = d.root.OpenFile(d.Path+parts, os.O_RDWR|os.O_CREATE, 0o666); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.part.Close()) }()
	old := d.done > 0
	d.hash = sha256.New()
	if n, err := io.Copy(d.hash, io.LimitReader(d.part, d.done)); err != nil || n < d.done {
		old = false
		d.done = 0
	}
	if err := d.rewind(); err != nil {
		return err
	}
	for {
		if err := d.fetch(ctx); err != nil {
			return err
		}
		sum := hex.EncodeToString(d.hash.Sum(nil))
		if d.SHA256 == "" || sum == d.SHA256 {
			return d.finish(sum)
		}
		d.done = 0
		if err := d.rewind(); err != nil {
			return err
		}
		if !old { // else what was there before may have been at fault
			return errors.Join(fmt.Errorf("%w: expected %s, found %s", ErrChecksum, d.SHA256, sum), d.root.Remove(d.Path+states))
		}
		old = false
	}
}

// rewind makes the part as long as done says.
func (d *download) rewind() error {
	if d.done == 0 {
		d.hash.Reset()
	}
	if err := d.part.Truncate(d.done); err != nil {
		return err
	}
	_, err := d.part.Seek(d.done, io.SeekStart)
	return err
}

// finish gives the file its name. Its sum is written first, and no older file is beside it by then: whichever write a crash prevents,
// what has both is right.
func (d *download) finish(sum string) error {
	if err := d.part.Sync(); err != nil {
		return err
	}
	if err := d.root.Remove(d.Path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := d.replace(d.Path+sums, []byte(sum+"  "+path.Base(d.Path)+"\n")); err != nil {
		return err
	}
	if err := d.part.Close(); err != nil { // Windows renames no open file
		return err
	}
	if err := d.root.Rename(d.Path+parts, d.Path); err != nil {
		return err
	}
	var err error
	d.part, err = d.root.Open(d.Path) // for run to close
	d.root.Remove(d.Path + states)
	return err
}

// fetch adds to the part until it is whole; what breaks off is tried again.
func (d *download) fetch(ctx context.Context) error {
	for {
		before := d.done
		err := d.again(ctx, func(ctx context.Context) error {
			err := d.attempt(ctx)
			if err != nil && d.done > before && isTemporary(err) {
				return errProgress
			}
			return err
		})
		if err != errProgress {
			return err
		}
	}
}

// errProgress ends a series of retries: something came, and the next failure is the first again.
var errProgress = errors.New("some bytes came")

// attempt makes one request for what is missing.
func (d *download) attempt(ctx context.Context) error {
	if d.Size > 0 && d.done == d.Size {
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := d.stall
	if silence == 0 {
		silence = 60 * time.Second
	}
	watchdog := time.AfterFunc(silence, func() { cancel(fmt.Errorf("no byte in %v", silence)) })
	defer watchdog.Stop()

	header := http.Header{"Accept-Encoding": {"identity"}}
	if d.done > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-", d.done))
		if d.SHA256 == "" {
			header.Set("If-Range", d.etag)
		}
	}
	resp, err := d.get(ctx, d.address(d.File), header)
	if err != nil {
		return stalled(ctx, err)
	}
	defer resp.Body.Close()
	if err := d.begin(resp); err != nil {
		return err
	}
	body := bufio.NewReaderSize(resp.Body, 1<<20)
	if d.done == 0 {
		if magic, err := body.Peek(4); string(magic) != "GGUF" && (err == nil || err == io.EOF && d.Size <= int64(len(magic))) {
			return fmt.Errorf("%w: expected a GGUF file, found %.60q (%s)", ErrServer, magic, resp.Header.Get("Content-Type"))
		}
	}
	for {
		// Peek fills the buffer as far as one read of the network does.
		_, err := body.Peek(1)
		chunk, _ := body.Peek(body.Buffered())
		if d.Size > 0 && d.done+int64(len(chunk)) > d.Size {
			return fmt.Errorf("%w: more than the %d bytes that were stated", ErrServer, d.Size)
		}
		if len(chunk) > 0 {
			watchdog.Reset(silence)
			n, err := d.part.Write(chunk)
			d.hash.Write(chunk[:n])
			d.done += int64(n)
			if err != nil {
				return err // the disk is full, say
			}
			body.Discard(len(chunk))
			d.progress()
		}
		switch {
		case err == io.EOF && d.done < d.Size:
			return temporary(fmt.Errorf("the connection ended after %d of %d bytes", d.done, d.Size))
		case err == io.EOF:
			d.Size = d.done
			return nil
		case err != nil:
			return stalled(ctx, err)
		}
	}
}

// stalled is err, or why the watchdog ended the request.
func stalled(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); ctx.Err() != nil && cause != ctx.Err() {
		return temporary(cause)
	}
	return temporary(err)
}

// begin reads the head of an answer: whether it continues the part, and what it says of the file.
func (d *download) begin(resp *http.Response) error {
	length := resp.ContentLength // -1 if the server does not say
	if tag := resp.Header.Get("ETag"); strings.HasPrefix(tag, `"`) {
		d.etag = tag
	} else if resp.StatusCode == http.StatusOK {
		d.etag = ""
	}
	switch resp.StatusCode {
	case http.StatusOK:
		d.done = 0 // the file from its start, whatever was asked
		d.File = d.stated
		if err := d.rewind(); err != nil {
			return err
		}
	case http.StatusPartialContent:
		var first, last, total int64
		if _, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-%d/%d", &first, &last, &total); err != nil || d.done == 0 || first != d.done || d.Size > 0 && total != d.Size {
			from := d.done
			d.done, d.etag = 0, ""
			if err := d.rewind(); err != nil {
				return err
			}
			return temporary(fmt.Errorf("%w: asked for bytes from %d of %d on, it sends %q", ErrServer, from, d.Size, resp.Header.Get("Content-Range")))
		}
		d.Size = total
	case http.StatusRequestedRangeNotSatisfiable:
		if d.done == 0 {
			return d.refusal(resp, d.reference)
		}
		d.done, d.etag = 0, ""
		if err := d.rewind(); err != nil {
			return err
		}
		return temporary(fmt.Errorf("%w: no range is left, and the file is not whole", ErrServer))
	default:
		return d.refusal(resp, d.reference)
	}
	if length >= 0 {
		if d.Size > 0 && d.done+length != d.Size {
			return fmt.Errorf("%w: %d bytes were stated, it sends %d", ErrServer, d.Size, d.done+length)
		}
		d.Size = d.done + length
	}
	if sum := linkedSum(resp); sum != "" {
		if d.SHA256 != "" && d.SHA256 != sum {
			return fmt.Errorf("%w: expected %s, the server states %s", ErrChecksum, d.SHA256, sum)
		}
		d.SHA256 = sum
	}
	if d.repo != "" && d.SHA256 == "" {
		return fmt.Errorf("%w: the hub states no SHA-256", ErrServer)
	}
	data, err := json.Marshal(state{d.Size, d.SHA256, d.etag})
	if err == nil {
		err = d.replace(d.Path+states, data)
	}
	return err
}
