package avx512

func unpacks()   {}
func floatDots() {}
