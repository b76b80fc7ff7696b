//go:build !linux || !(amd64 || arm64)

package main

import "errors"

type nvrtc struct{}

func openNVRTC(string) (*nvrtc, error) {
	return nil, errors.New("the kernels are compiled on Linux, on amd64 or arm64")
}

func (*nvrtc) compile(name, text string, headers map[string]string, arch string) ([]byte, error) {
	return nil, errors.ErrUnsupported
}
