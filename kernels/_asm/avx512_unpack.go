package main

func avx512Unpacks()   {}
func avx512FloatDots() {}
