package strictjson

import (
	"encoding/binary"
	"errors"
	"unicode/utf16"
	"unicode/utf8"
)

// ErrNotText is given for what is not valid UTF-8. It is an error about a
// program's own value; about bytes that were read, see Corrupt.
var ErrNotText = errors.New("json: text is not valid UTF-8 (send it as []byte)")

const hexDigits = "0123456789abcdef"

// AppendString appends s as a string of ASCII characters only: foreign readers
// take any other byte for a character of its own.
func AppendString[T string | []byte](dst []byte, s T) ([]byte, error) {
	dst = append(dst, '"')
	// Most text needs no escapes: it is copied at once, and looked at there.
	start := len(dst)
	dst = append(dst, s...)
	from := plainASCII(dst[start:])
	if from == len(s) {
		return append(dst, '"'), nil
	}
	dst = dst[:start+from]
	for i := from; i < len(s); {
		c := s[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(dst, s[from:i]...)
		if c < utf8.RuneSelf {
			dst = appendEscape(dst, c)
			i++
		} else {
			r, n := utf8.DecodeRuneInString(string(s[i:min(len(s), i+utf8.UTFMax)]))
			if r == utf8.RuneError && n == 1 {
				return dst, ErrNotText
			}
			dst = appendRune(dst, r)
			i += n
		}
		from = i
	}
	dst = append(dst, s[from:]...)
	return append(dst, '"'), nil
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return appendUnit(dst, rune(c))
}

func appendRune(dst []byte, r rune) []byte {
	if r < 0x10000 {
		return appendUnit(dst, r)
	}
	high, low := utf16.EncodeRune(r)
	return appendUnit(appendUnit(dst, high), low)
}

func appendUnit(dst []byte, u rune) []byte {
	return append(dst, '\\', 'u', hexDigits[u>>12&15], hexDigits[u>>8&15], hexDigits[u>>4&15], hexDigits[u&15])
}

// AppendASCII appends JSON with every rune beyond ASCII escaped. Such runes
// stand only in strings, so that no more of the grammar need be looked at.
func AppendASCII(dst, json []byte) ([]byte, error) {
	for len(json) > 0 {
		n := ASCII(json)
		dst = append(dst, json[:n]...)
		json = json[n:]
		for len(json) > 0 && json[0] >= utf8.RuneSelf {
			r, n := utf8.DecodeRune(json)
			if r == utf8.RuneError && n == 1 {
				return dst, ErrNotText
			}
			dst = appendRune(dst, r)
			json = json[n:]
		}
	}
	return dst, nil
}

// ASCII returns how many bytes at the front of d are ASCII.
func ASCII(d []byte) int {
	i := 0
	for i+8 <= len(d) && binary.LittleEndian.Uint64(d[i:])&highs == 0 {
		i += 8
	}
	for i < len(d) && d[i] < utf8.RuneSelf {
		i++
	}
	return i
}

// IsText says whether s is valid UTF-8. It is quick about ASCII.
func IsText(s []byte) bool {
	if len(s) < 8 {
		for _, c := range s {
			if c >= utf8.RuneSelf {
				return utf8.Valid(s)
			}
		}
		return true
	}
	all := binary.LittleEndian.Uint64(s[len(s)-8:])
	for rest := s; len(rest) >= 8; rest = rest[8:] {
		all |= binary.LittleEndian.Uint64(rest)
	}
	return all&highs == 0 || utf8.Valid(s)
}

// AppendUnescaped appends the text of a string, given without its quotes. Its
// escapes are checked again, for the string may have changed since String
// accepted it.
func AppendUnescaped(dst, raw []byte) ([]byte, error) {
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			dst = append(dst, raw[i])
			i++
			continue
		}
		n := escape(raw[i:])
		switch n {
		case 0:
			return dst, Corrupt(i, "a bad escape or half a surrogate pair")
		case 2:
			dst = append(dst, plain(raw[i+1]))
		case 6:
			dst = utf8.AppendRune(dst, hex4(raw[i:]))
		default:
			dst = utf8.AppendRune(dst, utf16.DecodeRune(hex4(raw[i:]), hex4(raw[i+6:])))
		}
		i += n
	}
	return dst, nil
}

func plain(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}
