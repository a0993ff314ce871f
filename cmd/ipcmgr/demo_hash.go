package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
)

// hasher hashes files one after the other.
type hasher struct {
	sum hash.Hash
	buf []byte
}

func newHasher() *hasher { return &hasher{sum: sha256.New(), buf: make([]byte, 256<<10)} }

// file hashes a regular file. One that has become something else since it was
// found is not opened for long: reading a pipe would block.
func (h *hasher) file(ctx context.Context, path string) (sum []byte, size int64, err error) {
	f, err := openAtOnce(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, errors.New("is no regular file any more")
	}
	h.sum.Reset()
	for {
		if ctx.Err() != nil {
			return nil, 0, context.Cause(ctx)
		}
		n, err := f.Read(h.buf)
		size += int64(n)
		h.sum.Write(h.buf[:n])
		if errors.Is(err, io.EOF) {
			return h.sum.Sum(nil), size, nil
		}
		if err != nil {
			return nil, 0, err
		}
	}
}
