//go:build arm64 && !noasm

package kernels

func probeOf(l *leaf) probe {
	if l.name == "neon" {
		return probe{neonProbeRead, neonProbeMAC, 384, neonProbeFMA, 96}
	}
	return genericProbe
}
