package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// avxvnni emits what the row for AVX-VNNI has besides that for AVX2: the products of bytes, four summed by an instruction where AVX2 takes two or three.
func avxvnni() {
	avx2Constants()
	for _, m := range []avx2Mul{
		{name: "Off", max: 31, scales: 1, offs: 1, vnni: true},
		{name: "Bias", max: 255, scales: 1, bias: true, vnni: true},
		{name: "Off2", max: 45, scales: 1, offs: 2, vnni: true},
		{name: "Half2Bias", max: 127, scales: 2, bias: true, vnni: true},
	} {
		m.emit()
	}
	for _, d := range avx2Dots {
		d.vnni = true
		if d.max == 0 {
			d.sub, d.decode = 7, biased(d.decode)
		}
		d.emit(true)
		d.emit(false)
	}
	avxvnniProbe()
}

// biased adds 128 to what decode leaves, int8, for VPDPBUSD takes bytes without a sign.
func biased(decode func(d *dotState)) func(d *dotState) {
	return func(d *dotState) {
		decode(d)
		for _, v := range d.v {
			VPXOR(avx2Consts.flip, v, v)
		}
		d.signed = false
	}
}

func avxvnniProbe() {
	TEXT("avxvnniProbeMAC", NOSPLIT, "func(n int)")
	Doc("avxvnniProbeMAC runs n times 16 VPDPBUSD of 256 bits: 512 products of bytes, summed, each time.")
	n := Load(Param("n"), GP64())
	w := YMM()
	VPXOR(w, w, w)
	var s [12]ymm
	for i := range s {
		s[i] = YMM()
		VPXOR(s[i], s[i], s[i])
	}
	Label("loop")
	for i := range 16 {
		VPDPBUSD(w, w, s[i%12])
	}
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
