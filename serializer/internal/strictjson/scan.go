// Package strictjson checks JSON as RFC 8259 has it, and stricter where a
// reader would go wrong on what the grammar allows: text must be valid UTF-8,
// surrogates come in pairs, numbers fit a float64, and nesting is bounded.
// encoding/json mends or passes all of these silently.
package strictjson

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"strconv"
	"unicode/utf8"

	"github.com/ipcmgr/ipcmgr/serializer"
)

// Corrupt makes an error that matches serializer.ErrCorrupt.
func Corrupt(at int, what string) error {
	return fmt.Errorf("json: %w: byte %d: %s", serializer.ErrCorrupt, at, what)
}

// Whole checks that data is one value with nothing but white space around it,
// and returns the value without that.
func Whole(data []byte) ([]byte, error) {
	start := Space(data, 0)
	end, err := Value(data, start)
	if err != nil {
		return nil, err
	}
	if rest := Space(data, end); rest != len(data) {
		return nil, Corrupt(rest, "more follows after the value")
	}
	return data[start:end], nil
}

// Space returns the index of the first byte from i on that is not white space.
func Space(d []byte, i int) int {
	for i < len(d) && (d[i] == ' ' || d[i] == '\n' || d[i] == '\t' || d[i] == '\r') {
		i++
	}
	return i
}

// Value checks the value that starts at i, which is not white space, and
// returns the index behind it.
func Value(d []byte, i int) (int, error) {
	// One bit per level says whether it is an object; it has room for
	// MaxDepth levels.
	var object [serializer.MaxDepth/64 + 1]uint64
	depth := 0
	var inObject bool
	var err error

value:
	if i >= len(d) {
		return i, Corrupt(i, "it ends too soon")
	}
	switch c := d[i]; c {
	case '"':
		if i, _, err = String(d, i); err != nil {
			return i, err
		}
	case '{', '[':
		if depth == serializer.MaxDepth {
			return i, Corrupt(i, fmt.Sprintf("nested deeper than %d", serializer.MaxDepth))
		}
		isObject := c == '{'
		if isObject {
			object[depth/64] |= 1 << (depth % 64)
		} else {
			object[depth/64] &^= 1 << (depth % 64)
		}
		depth++
		i = Space(d, i+1)
		if i < len(d) && d[i] == c+2 { // '}' and ']' are two behind '{' and '['
			i++
			depth--
			break
		}
		if isObject {
			goto key
		}
		goto value
	default:
		if i, err = scalar(d, i); err != nil {
			return i, err
		}
	}

next:
	if depth == 0 {
		return i, nil
	}
	i = Space(d, i)
	if i >= len(d) {
		return i, Corrupt(i, "it ends too soon")
	}
	inObject = object[(depth-1)/64]>>((depth-1)%64)&1 == 1
	switch c := d[i]; {
	case c == ',' && inObject:
		i = Space(d, i+1)
		goto key
	case c == ',':
		i = Space(d, i+1)
		goto value
	case c == '}' && inObject, c == ']' && !inObject:
		i++
		depth--
		goto next
	}
	return i, Corrupt(i, "neither a comma nor the end of an array or object")

key:
	if i, _, err = String(d, i); err != nil {
		return i, err
	}
	if i, err = Colon(d, i); err != nil {
		return i, err
	}
	goto value
}

// Colon checks that a colon comes next and returns the index of what follows.
func Colon(d []byte, i int) (int, error) {
	i = Space(d, i)
	if i >= len(d) || d[i] != ':' {
		return i, Corrupt(i, "no colon after a key")
	}
	return Space(d, i+1), nil
}

func scalar(d []byte, i int) (int, error) {
	switch rest := d[i:]; {
	case len(rest) >= 4 && string(rest[:4]) == "true", IsNull(rest):
		return i + 4, nil
	case len(rest) >= 5 && string(rest[:5]) == "false":
		return i + 5, nil
	}
	return Number(d, i)
}

// IsNull says whether d starts with null.
func IsNull(d []byte) bool { return len(d) >= 4 && string(d[:4]) == "null" }

// Number checks the number that starts at i and returns the index behind it.
func Number(d []byte, i int) (int, error) {
	start := i
	if i < len(d) && d[i] == '-' {
		i++
	}
	whole := i
	i = digits(d, i)
	if i == whole || i > whole+1 && d[whole] == '0' {
		return start, Corrupt(start, "not a value")
	}
	whole = i - whole
	if i < len(d) && d[i] == '.' {
		from := i + 1
		if i = digits(d, from); i == from {
			return i, Corrupt(i, "no digit after a decimal point")
		}
	}
	exponent := 0
	if i < len(d) && (d[i] == 'e' || d[i] == 'E') {
		i++
		if i < len(d) && (d[i] == '+' || d[i] == '-') {
			i++
		}
		from := i
		if i = digits(d, from); i == from {
			return i, Corrupt(i, "no digit in an exponent")
		}
		exponent = i - from
	}
	// Only these can be beyond a float64.
	if exponent > 2 || whole > 200 {
		if _, err := strconv.ParseFloat(string(d[start:i]), 64); err != nil {
			return start, Corrupt(start, "a number beyond float64")
		}
	}
	return i, nil
}

func digits(d []byte, i int) int {
	for i < len(d) && d[i]-'0' <= 9 {
		i++
	}
	return i
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// String checks the string whose quote stands at i. It returns the index
// behind the closing quote, and whether there are escapes between the two.
func String(d []byte, i int) (end int, escaped bool, err error) {
	if i >= len(d) || d[i] != '"' {
		return i, false, Corrupt(i, "not a string")
	}
	i++
	for {
		i += plainASCII(d[i:])
		if i >= len(d) {
			return i, escaped, Corrupt(i, "a string without an end")
		}
		switch c := d[i]; {
		case c == '"':
			return i + 1, escaped, nil
		case c == '\\':
			escaped = true
			n := escape(d[i:])
			if n == 0 {
				return i, true, Corrupt(i, "a bad escape or half a surrogate pair")
			}
			i += n
		case c < ' ':
			return i, escaped, Corrupt(i, "a control character in a string")
		default:
			r, n := utf8.DecodeRune(d[i:])
			if r == utf8.RuneError && n == 1 {
				return i, escaped, Corrupt(i, "text that is not UTF-8")
			}
			i += n
		}
	}
}

// plainASCII returns how many bytes at the front of d are neither a quote, nor
// a backslash, nor a control character, nor beyond ASCII.
func plainASCII(d []byte) int {
	i := 0
	for i+8 <= len(d) {
		x := binary.LittleEndian.Uint64(d[i:])
		quote, slash := x^ones*'"', x^ones*'\\'
		special := ((quote-ones)&^quote | (slash-ones)&^slash | (x-ones*' ')&^x | x) & highs
		if special != 0 {
			// The lowest bit is exact; those above may be carries.
			return i + bits.TrailingZeros64(special)/8
		}
		i += 8
	}
	for i < len(d) && d[i] >= ' ' && d[i] < utf8.RuneSelf && d[i] != '"' && d[i] != '\\' {
		i++
	}
	return i
}

// escape returns the length of the escape at the front of d, a surrogate pair
// being one, or 0 if there is none.
func escape(d []byte) int {
	if len(d) < 2 {
		return 0
	}
	switch d[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		r := hex4(d)
		switch {
		case r < 0:
			return 0
		case r < 0xd800 || r > 0xdfff:
			return 6
		}
		if low := hex4(d[6:]); r < 0xdc00 && low >= 0xdc00 && low <= 0xdfff {
			return 12
		}
	}
	return 0
}

// hex4 reads \uXXXX at the front of d, or returns -1.
func hex4(d []byte) rune {
	if len(d) < 6 || d[0] != '\\' || d[1] != 'u' {
		return -1
	}
	var r rune
	for _, c := range d[2:6] {
		switch {
		case c-'0' <= 9:
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}
