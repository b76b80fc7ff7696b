//go:build amd64 && !noasm

package kernels

func probeOf(l *leaf) probe {
	switch l.name {
	case "amx":
		return probe{avx2ProbeRead, amxProbeMAC, 65536, avx512ProbeFMA, 1024}
	case "avx512":
		return probe{avx2ProbeRead, avx512ProbeMAC, 4096, avx512ProbeFMA, 1024} // memory does not feed wider loads any faster
	case "avxvnni":
		return probe{avx2ProbeRead, avxvnniProbeMAC, 512, avx2ProbeFMA, 192}
	case "avx2":
		return probe{avx2ProbeRead, avx2ProbeMAC, 512, avx2ProbeFMA, 192}
	}
	return genericProbe
}
