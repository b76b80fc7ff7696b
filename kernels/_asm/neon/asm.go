package main

import (
	"bytes"
	"fmt"
	"strings"
)

// Go 1.26's assembler knows few of NEON's floating-point and dot-product instructions, so every vector instruction but loads and
// stores of whole registers is written as its 32 bits, with ARM's own notation beside it. General registers, branches and
// loads are Go's assembler as usual.

// vec is a vector register, V0 to V31; gpr a general one, R0 to R26.
type (
	vec uint32
	gpr uint32
)

func (x gpr) String() string { return fmt.Sprintf("R%d", uint32(x)) }

// fn is a function being written.
type fn struct {
	name, doc string
	params    []param
	frame     int
	result    string // type, "" for none
	body      bytes.Buffer
	labels    int
	v         vec // next free vector register
	x         gpr // next free general register
}

type param struct{ name, typ string }

func (p param) size() int {
	if p.typ == "float32" {
		return 4
	}
	return 8
}

var functions []*fn

// function begins a function. sig is its parameters as in Go, "n int, x *float32".
func function(name, sig, doc string) *fn {
	f := &fn{name: name, doc: doc}
	for p := range strings.SplitSeq(sig, ", ") {
		n, t, _ := strings.Cut(p, " ")
		f.params = append(f.params, param{n, t})
	}
	functions = append(functions, f)
	return f
}

// offset is where a parameter, or the result, lies in the caller's frame.
func (f *fn) offset(name string) int {
	at := 0
	for _, p := range f.params {
		at = (at + p.size() - 1) &^ (p.size() - 1)
		if p.name == name {
			return at
		}
		at += p.size()
	}
	if name == "ret" {
		return (at + 7) &^ 7
	}
	panic(f.name + " has no parameter " + name)
}

func (f *fn) argBytes() int {
	n := f.offset("ret")
	if f.result != "" {
		n += 4
	}
	return n
}

// op writes a line of Go's assembler.
func (f *fn) op(format string, args ...any) { fmt.Fprintf(&f.body, "\t"+format+"\n", args...) }

func (f *fn) note(format string, args ...any) {
	fmt.Fprintf(&f.body, "\n\t// "+format+"\n", args...)
}

// label is a new label; at places it.
func (f *fn) label(name string) string {
	f.labels++
	return fmt.Sprintf("%s%d", name, f.labels)
}

func (f *fn) at(label string) { fmt.Fprintf(&f.body, "%s:\n", label) }

// vecs takes n vector registers, gprs n general ones. block gives back all that emit takes.
func (f *fn) vecs(n int) []vec {
	var vs []vec
	for range n {
		if f.v > 31 {
			panic(f.name + ": out of vector registers")
		}
		vs = append(vs, f.v)
		f.v++
	}
	return vs
}

func (f *fn) vec() vec { return f.vecs(1)[0] }

func (f *fn) gpr() gpr {
	if f.x == 18 { // the platform's
		f.x++
	}
	if f.x > 26 { // the assembler's, g, the frame pointer, the link register
		panic(f.name + ": out of general registers")
	}
	f.x++
	return f.x - 1
}

func (f *fn) gprs(n int) []gpr {
	var xs []gpr
	for range n {
		xs = append(xs, f.gpr())
	}
	return xs
}

func (f *fn) block(emit func()) {
	v, x := f.v, f.x
	emit()
	f.v, f.x = v, x
}

// load gets a parameter into a new register, loadTo into one that is there.
func (f *fn) load(name string) gpr {
	x := f.gpr()
	f.loadTo(name, x)
	return x
}

func (f *fn) loadTo(name string, x gpr) { f.op("MOVD %s+%d(FP), %v", name, f.offset(name), x) }

// loop runs body while the counter, which it counts down, is above 0.
func (f *fn) loop(counter gpr, body func()) {
	top, end := f.label("loop"), f.label("end")
	f.op("CBZ %v, %s", counter, end)
	f.at(top)
	body()
	f.op("SUBS $1, %v, %v", counter, counter)
	f.op("BNE %s", top)
	f.at(end)
}

// word writes an instruction's bits and, as a comment, ARM's notation.
func (f *fn) word(bits uint32, format string, args ...any) {
	f.op("WORD $0x%08x // %s", bits, fmt.Sprintf(format, args...))
}

// ldr and str move 16 bytes.
func (f *fn) ldr(v vec, base gpr, off int) { f.op("FMOVQ %d(%v), F%d", off, base, v) }
func (f *fn) str(v vec, base gpr, off int) { f.op("FMOVQ F%d, %d(%v)", v, off, base) }

// ldrH loads 16 bits to the lowest lane; off is even.
func (f *fn) ldrH(v vec, base gpr, off int) {
	f.word(0x7d400000|uint32(off/2)<<10|uint32(base)<<5|uint32(v), "ldr h%d, [x%d, #%d]", v, base, off)
}

// Instructions of two or three registers; the arrangement that is written last in a name is that of all operands unless the
// table says otherwise.
type form struct {
	bits    uint32
	name    string
	d, n, m string // arrangements; m is what ends an instruction of two registers
}

// three is d = n op m (or d += n·m).
func (f *fn) three(i form, d, n, m vec) {
	f.word(i.bits|uint32(m)<<16|uint32(n)<<5|uint32(d), "%s v%d.%s, v%d.%s, v%d.%s", i.name, d, i.d, n, i.n, m, i.m)
}

// two is d = op n.
func (f *fn) two(i form, d, n vec) {
	f.word(i.bits|uint32(n)<<5|uint32(d), "%s v%d.%s, v%d.%s%s", i.name, d, i.d, n, i.n, i.m)
}

// lane is d = n op m[lane], lanes of 32 bits.
func (f *fn) lane(i form, d, n, m vec, lane int) {
	f.word(i.bits|uint32(lane&1)<<21|uint32(lane>>1)<<11|uint32(m)<<16|uint32(n)<<5|uint32(d), "%s v%d.%s, v%d.%s, v%d.%s[%d]", i.name, d, i.d, n, i.n, m, i.m, lane)
}

// lookup is d = table[n], byte by byte.
func (f *fn) lookup(d, table, n vec) {
	f.word(0x4e000000|uint32(n)<<16|uint32(table)<<5|uint32(d), "tbl v%d.16b, {v%d.16b}, v%d.16b", d, table, n)
}

func s4(bits uint32, name string) form  { return form{bits, name, "4s", "4s", "4s"} }
func b16(bits uint32, name string) form { return form{bits, name, "16b", "16b", "16b"} }

var (
	fadd   = s4(0x4e20d400, "fadd")
	fmul   = s4(0x6e20dc00, "fmul")
	fdiv   = s4(0x6e20fc00, "fdiv")
	fmax   = s4(0x4e20f400, "fmax")
	fmin   = s4(0x4ea0f400, "fmin")
	fmla   = s4(0x4e20cc00, "fmla")
	fabs   = form{0x4ea0f800, "fabs", "4s", "4s", ""}
	fneg   = form{0x6ea0f800, "fneg", "4s", "4s", ""}
	frintn = form{0x4e218800, "frintn", "4s", "4s", ""}
	fcvtns = form{0x4e21a800, "fcvtns", "4s", "4s", ""}
	scvtf  = form{0x4e21d800, "scvtf", "4s", "4s", ""}
	ucvtf  = form{0x6e21d800, "ucvtf", "4s", "4s", ""}
	addp   = s4(0x4ea0bc00, "addp")
	addS   = s4(0x4ea08400, "add")
	cmgt   = s4(0x4ea03400, "cmgt")
	fsub   = s4(0x4ea0d400, "fsub")
	uzp1S  = s4(0x4e801800, "uzp1")
	uzp2S  = s4(0x4e805800, "uzp2")
	zip1S  = s4(0x4e803800, "zip1")
	zip2S  = s4(0x4e807800, "zip2")
	zip1D  = form{0x4ec03800, "zip1", "2d", "2d", "2d"}
	zip2D  = form{0x4ec07800, "zip2", "2d", "2d", "2d"}
	uzp1H  = form{0x4e401800, "uzp1", "8h", "8h", "8h"}
	uzp2H  = form{0x4e405800, "uzp2", "8h", "8h", "8h"}
	zip1B  = b16(0x4e003800, "zip1")
	addB   = b16(0x4e208400, "add")
	subB   = b16(0x6e208400, "sub")
	mulB   = b16(0x4e209c00, "mul")
	and    = b16(0x4e201c00, "and")
	orr    = b16(0x4ea01c00, "orr")
	cmtst  = b16(0x4e208c00, "cmtst")
	eor    = b16(0x6e201c00, "eor")
	bif    = b16(0x6ee01c00, "bif")
	ushl8H = form{0x6e604400, "ushl", "8h", "8h", "8h"}
	subH   = form{0x6e608400, "sub", "8h", "8h", "8h"}

	sdot     = form{0x4e809400, "sdot", "4s", "16b", "16b"}
	sdotLane = form{0x4f80e000, "sdot", "4s", "16b", "4b"}
	fmlaLane = form{0x4f801000, "fmla", "4s", "4s", "s"}
	fmulLane = form{0x4f809000, "fmul", "4s", "4s", "s"}

	fcvtl  = form{0x0e217800, "fcvtl", "4s", "4h", ""}
	fcvtl2 = form{0x4e217800, "fcvtl2", "4s", "8h", ""}
	fcvtn  = form{0x0e216800, "fcvtn", "4h", "4s", ""}
	fcvtn2 = form{0x4e216800, "fcvtn2", "8h", "4s", ""}
	shll   = form{0x2e613800, "shll", "4s", "4h", ", #16"}
	shll2  = form{0x6e613800, "shll2", "4s", "8h", ", #16"}
	xtnH   = form{0x0e612800, "xtn", "4h", "4s", ""}
	xtn2H  = form{0x4e612800, "xtn2", "8h", "4s", ""}
	xtnB   = form{0x0e212800, "xtn", "8b", "8h", ""}
	xtn2B  = form{0x4e212800, "xtn2", "16b", "8h", ""}
	uxtlH  = form{0x2f08a400, "uxtl", "8h", "8b", ""}
	uxtlS  = form{0x2f10a400, "uxtl", "4s", "4h", ""}
	uxtl2S = form{0x6f10a400, "uxtl2", "4s", "8h", ""}
	uxtl2H = form{0x6f08a400, "uxtl2", "8h", "16b", ""}
	sxtlH  = form{0x0f08a400, "sxtl", "8h", "8b", ""}
	sxtl2H = form{0x4f08a400, "sxtl2", "8h", "16b", ""}
	sxtlS  = form{0x0f10a400, "sxtl", "4s", "4h", ""}
	sxtl2S = form{0x4f10a400, "sxtl2", "4s", "8h", ""}
	faddpS = form{0x7e30d800, "faddp", "", "2s", ""}
	fmaxvS = form{0x6e30f800, "fmaxv", "", "4s", ""}
	addvS  = form{0x4eb1b800, "addv", "", "4s", ""}
	scvtfS = form{0x5e21d800, "scvtf", "", "", ""}
)

// positive is all ones in lanes above 0.
func (f *fn) positive(d, n vec) {
	f.word(0x4ea0c800|uint32(n)<<5|uint32(d), "fcmgt v%d.4s, v%d.4s, #0.0", d, n)
}

// scalar is d = op n on the lowest lanes; d and n are letters of their sizes.
func (f *fn) scalar(i form, dl string, d vec, nl string, n vec) {
	nn := fmt.Sprintf("%s%d", nl, n)
	if i.n != "" {
		nn = fmt.Sprintf("v%d.%s", n, i.n)
	}
	f.word(i.bits|uint32(n)<<5|uint32(d), "%s %s%d, %s", i.name, dl, d, nn)
}

// fmadd is d = n·m + a, on the lowest lanes.
func (f *fn) fmadd(d, n, m, a vec) {
	f.word(0x1f000000|uint32(m)<<16|uint32(a)<<10|uint32(n)<<5|uint32(d), "fmadd s%d, s%d, s%d, s%d", d, n, m, a)
}

// faddS and fmulS are on the lowest lanes.
func (f *fn) faddS(d, n, m vec) {
	f.word(0x1e202800|uint32(m)<<16|uint32(n)<<5|uint32(d), "fadd s%d, s%d, s%d", d, n, m)
}

func (f *fn) fmulS(d, n, m vec) {
	f.word(0x1e200800|uint32(m)<<16|uint32(n)<<5|uint32(d), "fmul s%d, s%d, s%d", d, n, m)
}

// mov copies a register, zero clears one.
func (f *fn) mov(d, n vec) {
	f.word(orr.bits|uint32(n)<<16|uint32(n)<<5|uint32(d), "mov v%d.16b, v%d.16b", d, n)
}

func (f *fn) zero(vs ...vec) {
	for _, v := range vs {
		f.word(0x6f00e400|uint32(v), "movi v%d.2d, #0", v)
	}
}

// bytes sets all bytes to b.
func (f *fn) bytes(d vec, b byte) {
	f.word(0x4f00e400|uint32(b>>5)<<16|uint32(b&31)<<5|uint32(d), "movi v%d.16b, #%d", d, b)
}

// halves sets all lanes of 16 bits to b.
func (f *fn) halves(d vec, b byte) {
	f.word(0x4f008400|uint32(b>>5)<<16|uint32(b&31)<<5|uint32(d), "movi v%d.8h, #%d", d, b)
}

// shift moves the lanes of 8 or 32 bits, left or right (unsigned).
func (f *fn) shl(bits int, d, n vec, by int) {
	f.word(0x4f005400|uint32(bits+by)<<16|uint32(n)<<5|uint32(d), "shl v%d.%s, v%d.%s, #%d", d, lanes[bits], n, lanes[bits], by)
}

func (f *fn) ushr(bits int, d, n vec, by int) {
	f.word(0x6f000400|uint32(2*bits-by)<<16|uint32(n)<<5|uint32(d), "ushr v%d.%s, v%d.%s, #%d", d, lanes[bits], n, lanes[bits], by)
}

var lanes = map[int]string{8: "16b", 16: "8h", 32: "4s"}

// ext takes 16 bytes from byte by of n:m.
func (f *fn) ext(d, n, m vec, by int) {
	f.word(0x6e000000|uint32(m)<<16|uint32(by)<<11|uint32(n)<<5|uint32(d), "ext v%d.16b, v%d.16b, v%d.16b, #%d", d, n, m, by)
}

// dup copies a lane to all lanes, get to the lowest only; set writes a lane from the lowest of n.
func (f *fn) dup(d, n vec, lane int) {
	f.word(0x4e000400|uint32(lane<<3|4)<<16|uint32(n)<<5|uint32(d), "dup v%d.4s, v%d.s[%d]", d, n, lane)
}

func (f *fn) dupB(d, n vec, lane int) {
	f.word(0x4e010400|uint32(lane)<<17|uint32(n)<<5|uint32(d), "dup v%d.16b, v%d.b[%d]", d, n, lane)
}

// halfFloat sets all lanes to the float16 at base+off, as a float32.
func (f *fn) halfFloat(d vec, base gpr, off int) {
	f.ldrH(d, base, off)
	f.two(fcvtl, d, d)
	f.dup(d, d, 0)
}

func (f *fn) dupH(d, n vec, lane int) {
	f.word(0x4e000400|uint32(lane<<2|2)<<16|uint32(n)<<5|uint32(d), "dup v%d.8h, v%d.h[%d]", d, n, lane)
}

func (f *fn) get(d, n vec, lane int) {
	f.word(0x5e000400|uint32(lane<<3|4)<<16|uint32(n)<<5|uint32(d), "mov s%d, v%d.s[%d]", d, n, lane)
}

func (f *fn) set(d vec, lane int, n vec) {
	f.word(0x6e000400|uint32(lane<<3|4)<<16|uint32(n)<<5|uint32(d), "mov v%d.s[%d], v%d.s[0]", d, lane, n)
}

// dupW copies the low half of a general register to all lanes.
func (f *fn) dupW(d vec, x gpr) {
	f.word(0x4e040c00|uint32(x)<<5|uint32(d), "dup v%d.4s, w%d", d, x)
}

// float sets all lanes to the float32 of these bits; x is overwritten.
func (f *fn) float(d vec, bits uint32, x gpr) {
	f.op("MOVW $0x%08x, %v", bits, x)
	f.dupW(d, x)
}

// dword sets a 64-bit lane.
func (f *fn) dword(d vec, lane int, value uint64, x gpr) {
	f.op("MOVD $0x%016x, %v", value, x)
	f.op("VMOV %v, V%d.D[%d]", x, d, lane)
}

// ld1h and ld1s load a lane of 16 or 32 bits and move the address on by step.
func (f *fn) ld1h(d vec, lane int, base, step gpr) {
	f.word(0x0dc04000|uint32(lane>>2)<<30|uint32(lane>>1&1)<<12|uint32(lane&1)<<11|uint32(step)<<16|uint32(base)<<5|uint32(d), "ld1 {v%d.h}[%d], [x%d], x%d", d, lane, base, step)
}

func (f *fn) ld1s(d vec, lane int, base, step gpr) {
	f.word(0x0dc08000|uint32(lane>>1)<<30|uint32(lane&1)<<12|uint32(step)<<16|uint32(base)<<5|uint32(d), "ld1 {v%d.s}[%d], [x%d], x%d", d, lane, base, step)
}

// ld1r loads a float to all lanes.
func (f *fn) ld1r(d vec, base gpr) {
	f.word(0x4d40c800|uint32(base)<<5|uint32(d), "ld1r {v%d.4s}, [x%d]", d, base)
}

// ld1rNext also moves the address on.
func (f *fn) ld1rNext(d vec, base gpr) {
	f.word(0x4ddfc800|uint32(base)<<5|uint32(d), "ld1r {v%d.4s}, [x%d], #4", d, base)
}

// text is the function in Go's assembler, stub its declaration.
func (f *fn) text() string {
	return fmt.Sprintf("\n// %s\nTEXT ·%s(SB), NOSPLIT, $%d-%d\n%s\tRET\n", f.stub(), f.name, f.frame, f.argBytes(), f.body.String())
}

func (f *fn) stub() string {
	var ps []string
	for _, p := range f.params {
		ps = append(ps, p.name+" "+p.typ)
	}
	s := fmt.Sprintf("func %s(%s)", f.name, strings.Join(ps, ", "))
	if f.result != "" {
		s += " " + f.result
	}
	return s
}
