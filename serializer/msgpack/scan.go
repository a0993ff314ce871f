package msgpack

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/ipcmgr/ipcmgr/serializer"
	"github.com/ipcmgr/ipcmgr/serializer/internal/strictjson"
)

// kind is what an element is, whatever the width it was written in.
type kind uint8

const (
	bad kind = iota // cut off, an extension, or no element at all
	null
	boolean
	positive // an integer from 0 on
	negative
	float32s
	float64s
	str
	bin
	array
	mapping
)

func (k kind) String() string {
	return [...]string{
		"nothing", "nil", "a boolean", "an integer", "an integer",
		"a float", "a float", "text", "bytes", "an array", "a map",
	}[k]
}

// head reads the head of the element at i: its kind; its value, bits, length
// or count; and the index behind the head.
func head(d []byte, i int) (k kind, n uint64, next int) {
	if i >= len(d) {
		return bad, 0, i
	}
	c := d[i]
	i++
	switch {
	case c < 0x80:
		return positive, uint64(c), i
	case c < 0x90:
		return mapping, uint64(c & 0x0f), i
	case c < 0xa0:
		return array, uint64(c & 0x0f), i
	case c < 0xc0:
		return str, uint64(c & 0x1f), i
	case c >= 0xe0:
		return negative, uint64(int64(int8(c))), i
	}
	f := forms[c-0xc0]
	if f.kind == bad || int(f.width) > len(d)-i {
		return bad, 0, i
	}
	switch f.width {
	case 0:
		return f.kind, uint64(c & 1), i
	case 1:
		n = uint64(d[i])
	case 2:
		n = uint64(binary.BigEndian.Uint16(d[i:]))
	case 4:
		n = uint64(binary.BigEndian.Uint32(d[i:]))
	case 8:
		n = binary.BigEndian.Uint64(d[i:])
	}
	i += int(f.width)
	if f.kind == negative {
		shift := 64 - 8*f.width
		if n = uint64(int64(n<<shift) >> shift); int64(n) >= 0 {
			return positive, n, i
		}
	}
	return f.kind, n, i
}

// smallHead is head, and quick where one byte says all.
func smallHead(d []byte, i int) (k kind, n uint64, next int) {
	if i < len(d) && d[i] < 0x80 {
		return positive, uint64(d[i]), i + 1
	}
	return head(d, i)
}

type form struct {
	kind  kind
	width uint8 // of the number behind the code, in bytes
}

// forms has the codes from 0xc0 to 0xdf. Extensions are none of them.
var forms = [32]form{
	0x00: {null, 0}, 0x02: {boolean, 0}, 0x03: {boolean, 0},
	0x04: {bin, 1}, 0x05: {bin, 2}, 0x06: {bin, 4},
	0x0a: {float32s, 4}, 0x0b: {float64s, 8},
	0x0c: {positive, 1}, 0x0d: {positive, 2}, 0x0e: {positive, 4}, 0x0f: {positive, 8},
	0x10: {negative, 1}, 0x11: {negative, 2}, 0x12: {negative, 4}, 0x13: {negative, 8},
	0x19: {str, 1}, 0x1a: {str, 2}, 0x1b: {str, 4},
	0x1c: {array, 2}, 0x1d: {array, 4},
	0x1e: {mapping, 2}, 0x1f: {mapping, 4},
}

func corrupt(at int, what string) error {
	return fmt.Errorf("msgpack: %w: byte %d: %s", serializer.ErrCorrupt, at, what)
}

// scan checks the whole element at i, that is so many levels deep, and returns
// the index behind it. What it has accepted is read without further checks.
func scan(d []byte, i, depth int) (end int, err error) {
	k, n, next := head(d, i)
	left := uint64(len(d) - next)
	switch k {
	case bad:
		return i, corrupt(i, "cut off, or an extension")
	case str:
		_, end, err = scanStr(d, i)
		return end, err
	case bin:
		if n > left {
			return i, corrupt(i, "bytes longer than what is there")
		}
		return next + int(n), nil
	case float32s, float64s:
		if f := float(k, n); math.IsNaN(f) || math.IsInf(f, 0) {
			return i, corrupt(i, "NaN or infinite")
		}
	case array, mapping:
		each := uint64(1)
		if k == mapping {
			each = 2
		}
		if n > left/each {
			return i, corrupt(i, "more elements than bytes")
		}
		if depth == serializer.MaxDepth {
			return i, corrupt(i, fmt.Sprintf("nested deeper than %d", serializer.MaxDepth))
		}
		for range n {
			if k == mapping {
				if _, next, err = scanStr(d, next); err != nil {
					return next, err
				}
			}
			if next, err = scan(d, next, depth+1); err != nil {
				return next, err
			}
		}
	}
	return next, nil
}

// scanStr checks a str and returns a view of it.
func scanStr(d []byte, i int) (s []byte, end int, err error) {
	var n uint64
	var next int
	switch {
	case i < len(d) && d[i]&0xe0 == 0xa0: // nearly all text is that short
		n, next = uint64(d[i]&0x1f), i+1
	case i+1 < len(d) && d[i] == 0xd9:
		n, next = uint64(d[i+1]), i+2
	default:
		var k kind
		if k, n, next = head(d, i); k != str {
			return nil, i, corrupt(i, "not text where text must be")
		}
	}
	if n > uint64(len(d)-next) {
		return nil, i, corrupt(i, "text longer than what is there")
	}
	end = next + int(n)
	if s = d[next:end]; !strictjson.IsText(s) {
		return nil, i, corrupt(i, "text that is not UTF-8")
	}
	return s, end, nil
}

func float(k kind, bits uint64) float64 {
	if k == float32s {
		return float64(math.Float32frombits(uint32(bits)))
	}
	return math.Float64frombits(bits)
}
