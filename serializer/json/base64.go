package json

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"slices"
)

// The functions of this file are base64.StdEncoding's, at twice its speed:
// bytes are what most programs send, and base64 what they pay most for.

const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// twoDigits has the digits for twelve bits, the first in the low byte.
var twoDigits = func() (t [1 << 12]uint16) {
	for n := range t {
		t[n] = uint16(digits[n>>6]) | uint16(digits[n&63])<<8
	}
	return t
}()

// digitValues has what a digit is worth as the first to the fourth of four,
// and noDigit for what is none.
var digitValues = func() (t [4][256]uint32) {
	for place := range t {
		for c := range t[place] {
			t[place][c] = noDigit
		}
		for n, c := range []byte(digits) {
			t[place][c] = uint32(n) << (18 - 6*place)
		}
	}
	return t
}()

const noDigit = 1 << 24

func appendBase64(dst, src []byte) []byte {
	start, size := len(dst), base64.StdEncoding.EncodedLen(len(src))
	dst = slices.Grow(dst, size)[:start+size]
	out := dst[start:]
	for len(src) >= 8 { // six of them become eight digits
		x := binary.BigEndian.Uint64(src)
		binary.LittleEndian.PutUint64(out, uint64(twoDigits[x>>52])|uint64(twoDigits[x>>40&0xfff])<<16|
			uint64(twoDigits[x>>28&0xfff])<<32|uint64(twoDigits[x>>16&0xfff])<<48)
		src, out = src[6:], out[8:]
	}
	base64.StdEncoding.Encode(out, src)
	return dst
}

// appendDecoded may be given digits that somebody changes meanwhile.
func appendDecoded(dst, src []byte) ([]byte, error) {
	start, size := len(dst), base64.RawStdEncoding.DecodedLen(len(bytes.TrimRight(src, "=")))
	dst = slices.Grow(dst, size)[:start+size]
	out := dst[start:]
	t := &digitValues
	for len(src) >= 8 && len(out) >= 8 {
		a := t[0][src[0]] | t[1][src[1]] | t[2][src[2]] | t[3][src[3]]
		b := t[0][src[4]] | t[1][src[5]] | t[2][src[6]] | t[3][src[7]]
		if (a|b)&noDigit != 0 {
			break
		}
		binary.BigEndian.PutUint64(out, uint64(a)<<40|uint64(b)<<16)
		src, out = src[8:], out[6:]
	}
	rest := append(make([]byte, 0, 12), src...) // more only if something else is among the digits
	return base64.StdEncoding.AppendDecode(dst[:len(dst)-len(out)], rest)
}
