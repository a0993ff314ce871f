package json

import (
	"bytes"
	"math"
	"strconv"

	"github.com/ipcmgr/ipcmgr/serializer/internal/strictjson"
)

// appendStamp writes microseconds as seconds with six decimals. Perl sorts by
// what it reads: all of them are written, so that the order stays.
func appendStamp(dst []byte, micros int64) []byte {
	u := uint64(micros)
	if micros < 0 {
		dst = append(dst, '-')
		u = -u
	}
	dst = strconv.AppendUint(dst, u/1e6, 10)
	dst = append(dst, '.')
	for unit := uint64(1e5); unit > 0; unit /= 10 {
		dst = append(dst, '0'+byte(u/unit%10))
	}
	return dst
}

// parseStamp reads seconds, a JSON number, to the nearest microsecond.
func parseStamp(s []byte) (micros int64, ok bool) {
	if end, err := strictjson.Number(s, 0); err != nil || end != len(s) {
		return 0, false
	}
	if bytes.ContainsAny(s, "eE") {
		f, err := strconv.ParseFloat(string(s), 64)
		f = math.Round(f * 1e6)
		return int64(f), err == nil && math.Abs(f) < math.MaxInt64
	}
	digits := bytes.TrimPrefix(s, []byte("-"))
	whole, fraction, _ := bytes.Cut(digits, []byte("."))
	if len(whole) > 13 { // with the fraction, what a uint64 holds
		return 0, false
	}
	var u uint64
	for _, c := range whole {
		u = u*10 + uint64(c-'0')
	}
	for i := range 6 {
		u *= 10
		if i < len(fraction) {
			u += uint64(fraction[i] - '0')
		}
	}
	if len(fraction) > 6 && fraction[6] >= '5' {
		u++
	}
	if s[0] == '-' {
		return -int64(u), u <= -math.MinInt64
	}
	return int64(u), u <= math.MaxInt64
}
