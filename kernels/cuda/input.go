package cuda

import (
	"errors"
	"fmt"
	"math"
	"unsafe"

	"github.com/llama31/llama31/kernels"
)

// segmentSize is the positions of a block of attention (attend.cuh).
const segmentSize = 512

// input is what a step tells the kernels, in one buffer of int32 that is copied at once.
type input struct {
	host     [2]*pinned // of a step, and of the next
	mem      *memory
	capacity int // numbers behind the fixed part: page tables, then what sampling needs

	count, itemCount, groupCount, outCount, outCounts pointer // rows; items and groups of attention; Out rows, and those of each chunk of outRows
	ids, pos, table, outs                             pointer // [rows], [rows], [rows], [outs]
	items, groups, draws, pages                       pointer // pairs of first row and rows, twice; [outs] drawParams; page tables, one after the other
}

// views are the host's side of an input.
type views struct {
	head, outCounts, ids, pos, table, items, groups, outs []int32
	draws                                                 []drawParams
	rest                                                  []int32
}

// fixedInput counts the numbers before the page tables.
func (d *device) fixedInput() int {
	s := &d.shape
	return 4 + drawSize/4*s.MaxOut + ceil(s.MaxOut, outRows) + 7*s.MaxRows + s.MaxOut
}

// measure counts a step's rows and what attention makes of them.
func (d *device) measure(b *kernels.Batch) size {
	n := size{segments: 1, outs: len(b.Out), per: 1, exact: true}
	for i := range b.Chunks {
		c := &b.Chunks[i]
		n.rows += len(c.IDs)
		if per, many := d.attention(c); many {
			n.groups += ceil(len(c.IDs), per)
		} else {
			n.items += ceil(len(c.IDs), per)
			n.per = max(n.per, min(per, len(c.IDs)))
			n.segments = max(n.segments, ceil(c.Pos+len(c.IDs), segmentSize))
		}
	}
	return n
}

// attention says how many of a chunk's rows attention takes together, and by which kernel. The heads of one KV head fill up to 16
// rows of a product; where a chunk fills four products, eight of them share what is read of the cache.
func (d *device) attention(c *kernels.Chunk) (per int, many bool) {
	per = 16 / (d.shape.Heads / d.shape.KVHeads)
	if len(c.IDs) > 3*per && d.ops.many[0] != nil {
		return 8 * per, true
	}
	return per, false
}

// inputNeed counts the numbers of a step behind the fixed part.
func inputNeed(b *kernels.Batch) (need int) {
	for i := range b.Chunks {
		c := &b.Chunks[i]
		need += ceil(c.Pos+len(c.IDs), kernels.PageSize)
	}
	for i := range b.Out {
		if p := b.Out[i].Sample; p != nil && !onHost(&b.Out[i]) {
			need += len(p.Mask) + 2*len(p.Bias) + 2*len(p.Seen)
		}
	}
	return need
}

// mostInput is what inputNeed is at most, with a mask but without biases and counts.
func (d *device) mostInput() int {
	s := &d.shape
	return s.Slots * (ceil(s.Context, kernels.PageSize) + ceil(s.Vocab, 32))
}

// mostPartial is what partialBytes is at most: that of all rows at the end of a context, by the kernel for few, if a launch may have them
// all; else what a launch may have, since items of fewer segments fill that better.
func (d *device) mostPartial() int {
	s := &d.shape
	n := size{per: 16 / (s.Heads / s.KVHeads), segments: bucket(ceil(s.Context, segmentSize))}
	item := n.itemBytes(d)
	return min(s.MaxRows*item, max(item, maxPartialBytes))
}

// reserve makes room for so many numbers of input, and bytes of attention's partial results.
func (d *device) reserve(numbers, partial int) (err error) {
	in := &d.in
	if in.mem == nil || numbers > in.capacity {
		if err = d.discard(); err != nil {
			return err
		}
		if err = d.stream.synchronize(); err != nil { // a step that has begun reads the host's part
			return err
		}
		if err = in.free(); err != nil {
			return err
		}
		capacity := max(numbers, 2*in.capacity, 1024)
		bytes := 4 * (d.fixedInput() + capacity)
		for i := range in.host {
			if in.host[i], err = d.gpu.allocHost(bytes); err != nil {
				return err
			}
		}
		if in.mem, err = d.gpu.alloc(bytes); err != nil {
			return err
		}
		in.capacity = capacity
	}
	if d.partial == nil || d.partial.size < partial {
		if err = d.discard(); err != nil {
			return err
		}
		if d.partial != nil {
			if err = d.partial.free(); err != nil {
				return err
			}
			d.partial = nil
		}
		d.partial, err = d.gpu.alloc(partial)
	}
	return err
}

// free gives the buffers back, of which some are missing where there was no memory for them.
func (in *input) free() error {
	var errs []error
	if in.mem != nil {
		errs = append(errs, in.mem.free())
	}
	for _, h := range in.host {
		if h != nil {
			errs = append(errs, h.free())
		}
	}
	*in = input{capacity: in.capacity}
	return errors.Join(errs...)
}

// enter copies the residual stream that another device left.
func (d *device) enter(b *kernels.Batch) (err error) {
	if b.Enter == nil && b.Leave == nil {
		return nil
	}
	if d.hostStream == nil {
		if d.hostStream, err = d.gpu.allocHost(4 * d.shape.MaxRows * d.shape.Hidden); err != nil {
			return err
		}
	}
	if b.Enter == nil {
		return nil
	}
	copy(floats(d.hostStream.bytes, len(b.Enter)), b.Enter)
	return d.stream.toDevice(d.x, d.hostStream.bytes[:4*len(b.Enter)])
}

// views cuts the input's buffer up, and notes where the parts lie on the device.
func (in *input) views(s *kernels.Shape, host *pinned) (v views) {
	// All buffers begin at a page, and the parts of 8 bytes come first.
	all := unsafe.Slice((*int32)(unsafe.Pointer(&host.bytes[0])), len(host.bytes)/4)
	used := 0
	take := func(n int) ([]int32, pointer) {
		part, at := all[used:used+n], in.mem.pointer+pointer(4*used)
		used += n
		return part, at
	}
	v.head, in.count = take(4)
	in.itemCount, in.groupCount, in.outCount = in.count+4, in.count+8, in.count+12
	draws, at := take(drawSize / 4 * s.MaxOut)
	v.draws, in.draws = unsafe.Slice((*drawParams)(unsafe.Pointer(&draws[0])), s.MaxOut), at
	v.outCounts, in.outCounts = take(ceil(s.MaxOut, outRows))
	v.ids, in.ids = take(s.MaxRows)
	v.pos, in.pos = take(s.MaxRows)
	v.table, in.table = take(s.MaxRows)
	v.items, in.items = take(2 * s.MaxRows)
	v.groups, in.groups = take(2 * s.MaxRows)
	v.outs, in.outs = take(s.MaxOut)
	v.rest, in.pages = all[used:], in.mem.pointer+pointer(4*used)
	return v
}

// write fills the input in and copies it to the device.
func (d *device) write(b *kernels.Batch, n *size) error {
	s, in := &d.shape, &d.in
	host := in.host[d.step]
	v := in.views(s, host)
	row, used := 0, 0
	items, groups := v.items[:0], v.groups[:0]
	for i := range b.Chunks {
		c := &b.Chunks[i]
		per, many := d.attention(c)
		for j, id := range c.IDs {
			if id == kernels.LastSampled {
				switch id = d.last[c.Slot]; id {
				case onDevice:
					id = int32(-1 - c.Slot)
				case noneSampled:
					return fmt.Errorf("%s: chunk %d: slot %d has not sampled a token", d.gpu.name, i, c.Slot)
				}
			}
			if first, rows := int32(row), int32(min(per, len(c.IDs)-j)); j%per == 0 && many {
				groups = append(groups, first, rows)
			} else if j%per == 0 {
				items = append(items, first, rows)
			}
			v.ids[row], v.pos[row], v.table[row] = id, int32(c.Pos+j), int32(used)
			row++
		}
		used += copy(v.rest[used:], c.Pages[:ceil(c.Pos+len(c.IDs), kernels.PageSize)])
	}
	v.head[0], v.head[1], v.head[2], v.head[3] = int32(row), int32(len(items)/2), int32(len(groups)/2), int32(len(b.Out))
	for i := range v.outCounts {
		v.outCounts[i] = int32(min(outRows, max(0, len(b.Out)-i*outRows)))
	}
	for i := range b.Out {
		if o := &b.Out[i]; o.Sample != nil {
			d.final[o.Slot] = i
		}
	}
	base := d.fixedInput() // of the rest, in words of the buffer
	put := func(word int32) {
		v.rest[used] = word
		used++
	}
	for i := range v.draws[:max(n.outs, len(b.Out))] {
		p := &v.draws[i]
		*p = drawParams{mask: -1, target: -1, repeat: 1, slot: -1}
		if i >= len(b.Out) {
			continue
		}
		o := &b.Out[i]
		v.outs[i] = int32(o.Row)
		if onHost(o) || o.Sample == nil && o.Target < 0 {
			continue
		}
		p.use, p.target = 1, o.Target
		s := o.Sample
		if s == nil {
			continue
		}
		if d.final[o.Slot] == i {
			p.slot = int32(o.Slot)
		}
		p.temperature, p.topP, p.minP, p.typical, p.draw = s.Temperature, s.TopP, s.MinP, s.Typical, s.Draw
		p.topK, p.frequency, p.presence = int32(min(s.TopK, math.MaxInt32)), float32(s.Frequency), float32(s.Presence)
		if s.Repeat > 0 {
			p.repeat = float32(s.Repeat)
		}
		if s.Mask != nil {
			p.mask, p.maskWords = int32(base+used), int32(len(s.Mask))
			for _, w := range s.Mask {
				put(int32(w))
			}
		}
		p.bias, p.biases = int32(base+used), int32(len(s.Bias))
		for _, e := range s.Bias {
			put(e.ID)
			put(int32(math.Float32bits(e.Value)))
		}
		p.seen, p.seens = int32(base+used), int32(len(s.Seen))
		for _, e := range s.Seen {
			put(e.ID)
			put(e.N)
		}
	}
	if err := d.stream.toDevice(in.mem.pointer, host.bytes[:4*(base+used)]); err != nil {
		return err
	}
	return d.enter(b)
}
