package msgpack_test

import (
	"encoding/json"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	vm "github.com/vmihailenco/msgpack/v5"

	"github.com/ipcmgr/ipcmgr/serializer"
)

func TestWritten(t *testing.T) {
	e := serializer.Envelope{ID: []byte("i"), From: []byte("f"), To: []byte("t"), Micros: -1, Ord: 300, Content: []byte{0x05}}
	b, err := s.AppendEnvelope(nil, &e)
	require.NoError(t, err)
	assert.Equal(t, "\x99\xa1f\xa1t\xa1i\xff\xcd\x01\x2c\x00\xc0\xc0\x05", string(b))
	e.Broadcast = true
	e.Headers = []serializer.Pair{{Key: "k", Value: "v"}}
	e.Extra = []serializer.Field{{Key: "x", Value: []byte{0x90}}}
	b, err = s.AppendEnvelope(nil, &e)
	require.NoError(t, err)
	assert.Equal(t, "\x99\xa1f\xa1t\xa1i\xff\xcd\x01\x2c\x01\x81\xa1k\xa1v\x81\xa1x\x90\x05", string(b))
}

// Another library reads what is written, and numbers take the least room.
func TestOthersReadIt(t *testing.T) {
	for _, n := range []int64{0, 1, 127, 128, 255, 256, 65535, 65536, math.MaxUint32, math.MaxUint32 + 1, math.MaxInt64,
		-1, -32, -33, -128, -129, -32768, -32769, math.MinInt32, math.MinInt32 - 1, math.MinInt64} {
		b, err := s.AppendContent(nil, n)
		require.NoError(t, err)
		want, err := vm.Marshal(int(n)) // the library shortens an int only
		require.NoError(t, err)
		assert.Equal(t, want, b, n)
		var got int64
		require.NoError(t, vm.Unmarshal(b, &got))
		assert.Equal(t, n, got)
	}
	for _, size := range []int{0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536} {
		for _, v := range []any{strings.Repeat("x", size), make([]byte, size), make([]bool, size)} {
			b, err := s.AppendContent(nil, v)
			require.NoError(t, err)
			want, err := vm.Marshal(v)
			require.NoError(t, err)
			assert.Equal(t, want, b)
		}
	}
	b, err := s.AppendContent(nil, map[string]any{"b": 1.5, "a": []any{true, nil}})
	require.NoError(t, err)
	assert.Equal(t, "\x82\xa1a\x92\xc3\xc0\xa1b\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00", string(b), "keys are sorted")
}

// A number that comes as text is written as the same integer or as the nearest
// float64, or it is refused: what arrives is never another integer.
func TestNumbersAsText(t *testing.T) {
	written := map[string]any{
		"9223372036854775807": int64(math.MaxInt64), "-9223372036854775808": int64(math.MinInt64),
		"18446744073709551615": uint64(math.MaxUint64), "0": 0, "0.0": 0.0, "-0e9": math.Copysign(0, -1),
		"0.1": 0.1, "1e20": 1e20, "18446744073709551616.0": 0x1p64, "100000000000000000000": 1e20, "-123456789012345680000": -123456789012345680000.0,
		"12345678901234567890123e0": 12345678901234567890123.0,
		"1.7976931348623157e308":    math.MaxFloat64, "5e-324": math.SmallestNonzeroFloat64,
	}
	refused := map[string]string{
		"9223372036854775808000": "neither int64 nor uint64", "18446744073709551616": "neither int64 nor uint64",
		"-9223372036854775809": "neither int64 nor uint64", "12345678901234567890123": "send it as a string, or use json",
		"1e-400": "not 0, but too small for a float64", "-0.1E-400": "send it as a string, or use json",
		"0." + strings.Repeat("0", 400) + "1": "too small for a float64", "1e400": "beyond float64",
	}
	for text, v := range written {
		want, err := s.AppendContent(nil, v)
		require.NoError(t, err)
		for _, number := range []any{json.Number(text), json.RawMessage(text)} {
			got, err := s.AppendContent(nil, number)
			require.NoError(t, err, text)
			assert.Equal(t, want, got, text)
		}
	}
	for text, why := range refused {
		for _, v := range []any{json.Number(text), json.RawMessage(text), json.RawMessage(`{"a":[` + text + `]}`)} {
			_, err := s.AppendContent(nil, v)
			assert.ErrorContains(t, err, why, "%T %s", v, text)
		}
	}
	for _, text := range []string{"+5", "007", "1_000", "0x10", "5.", " 5", "five"} {
		_, err := s.AppendContent(nil, json.Number(text))
		assert.ErrorContains(t, err, "is none", text)
	}
}

func TestCorruptContent(t *testing.T) {
	for name, data := range map[string]string{
		"nothing": "", "nil": "\xc0", "the unused code": "\xc1", "more behind": "\x01\x01",
		"a timestamp": "\xd6\xff\x00\x00\x00\x01", "another extension": "\xc7\x01\x05x", "fixext": "\xd4\x01x",
		"34 GiB of text": "\xdb\xff\xff\xff\xff", "34 GiB of bytes": "\xc6\xff\xff\xff\xff",
		"4 billion elements": "\xdd\xff\xff\xff\xff", "4 billion entries": "\xdf\xff\xff\xff\xff",
		"fewer elements": "\x92\x01", "fewer entries": "\x82\xa1a\x01\xa1b", "a key without a value": "\x81\xa1a",
		"a key that is no text": "\x81\x01\x01", "a key that is nil": "\x81\xc0\x01", "a key that is an array": "\x81\x90\x01",
		"NaN": "\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", "infinity": "\xca\x7f\x80\x00\x00", "text not UTF-8": "\xa1\xff", "key not UTF-8": "\x81\xa1\xff\x01",
		"half an int": "\xcd\x01", "half a float": "\xcb\x00", "half a length": "\xda\x00",
		"too deep":         strings.Repeat("\x91", serializer.MaxDepth+1) + "\x01",
		"too deep in maps": strings.Repeat("\x81\xa0", serializer.MaxDepth+1) + "\x01",
		"very deep":        strings.Repeat("\x91", 1<<20) + "\x01",
	} {
		var v any
		assert.ErrorIs(t, s.DecodeContent([]byte(data), &v), serializer.ErrCorrupt, name)
		var e serializer.Envelope
		message := append([]byte("\x99\xa1a\xa0\xa0\x00\x00\x00\xc0\xc0"), data...)
		assert.ErrorIs(t, s.ParseEnvelope(message, &e), serializer.ErrCorrupt, name)
		extra := append(append([]byte("\x99\xa1a\xa0\xa0\x00\x00\x00\xc0\x81\xa1x"), data...), 1)
		if name != "nil" && name != "more behind" {
			assert.ErrorIs(t, s.ParseEnvelope(extra, &e), serializer.ErrCorrupt, "%s as an unknown field", name)
		}
	}
}

func TestCorruptMessages(t *testing.T) {
	for name, data := range map[string]string{
		"eight elements": "\x98\xa1a\xa0\xa0\x00\x00\x00\xc0\x01", "a map": "\x89\xa1a\xa0\xa0\x00\x00\x00\xc0\xc0\x01",
		"no sender": "\x99\xa0\xa0\xa0\x00\x00\x00\xc0\xc0\x01", "sender 0": "\x99\xa10\xa0\xa0\x00\x00\x00\xc0\xc0\x01",
		"sender nil": "\x99\xc0\xa0\xa0\x00\x00\x00\xc0\xc0\x01", "sender as bytes": "\x99\xc4\x01a\xa0\xa0\x00\x00\x00\xc0\xc0\x01",
		"sender not UTF-8": "\x99\xa1\xff\xa0\xa0\x00\x00\x00\xc0\xc0\x01",
		"time as float":    "\x99\xa1a\xa0\xa0\xca\x00\x00\x00\x00\x00\x00\xc0\xc0\x01", "time beyond int64": "\x99\xa1a\xa0\xa0\xcf\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\xc0\xc0\x01",
		"negative ord": "\x99\xa1a\xa0\xa0\x00\xff\x00\xc0\xc0\x01", "unknown flags": "\x99\xa1a\xa0\xa0\x00\x00\x02\xc0\xc0\x01",
		"headers as text": "\x99\xa1a\xa0\xa0\x00\x00\x00\xa0\xc0\x01", "a header of int": "\x99\xa1a\xa0\xa0\x00\x00\x00\x81\xa1k\x01\xc0\x01",
		"a header twice": "\x99\xa1a\xa0\xa0\x00\x00\x00\x82\xa1k\xa0\xa1k\xa0\xc0\x01", "a field twice": "\x99\xa1a\xa0\xa0\x00\x00\x00\xc0\x82\xa1k\x01\xa1k\x01\x01",
		"too many headers": "\x99\xa1a\xa0\xa0\x00\x00\x00\xde\x01\x01" + strings.Repeat("\xa1k\xa0", 257) + "\xc0\x01",
		"no content":       "\x99\xa1a\xa0\xa0\x00\x00\x00\xc0\xc0",
	} {
		var e serializer.Envelope
		assert.ErrorIs(t, s.ParseEnvelope([]byte(data), &e), serializer.ErrCorrupt, name)
	}
}

// What is refused is refused before anything is allocated for it.
func TestAnnouncedSizesCostNothing(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, data := range []string{"\xdb\xff\xff\xff\xff", "\xc6\xff\xff\xff\xff", "\xdd\xff\xff\xff\xff", "\xdf\xff\xff\xff\xff", "\x91\xdd\xff\xff\xff\xff"} {
		for _, v := range []any{new(any), new([]byte), new(string), new([]int), new(map[string]any), new([]time.Time), new(json.RawMessage)} {
			require.Error(t, s.DecodeContent([]byte(data), v))
		}
	}
	runtime.ReadMemStats(&after)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
}

func TestBytesAndText(t *testing.T) {
	bytes, err := s.AppendContent(nil, []byte("x"))
	require.NoError(t, err)
	text, err := s.AppendContent(nil, "x")
	require.NoError(t, err)
	var v any
	require.NoError(t, s.DecodeContent(bytes, &v))
	assert.Equal(t, []byte("x"), v)
	assert.Error(t, s.DecodeContent(bytes, new(string)), "bytes are no text")
	assert.Error(t, s.DecodeContent(text, new([]byte)), "text is no bytes")
	var raw json.RawMessage
	require.NoError(t, s.DecodeContent(bytes, &raw))
	assert.Equal(t, `"eA=="`, string(raw), "in JSON, bytes are base64")
	within := struct{ B []byte }{}
	whole, err := s.AppendContent(nil, struct{ B []byte }{[]byte("x")})
	require.NoError(t, err)
	require.NoError(t, s.DecodeContent(whole, &within))
	clear(whole)
	assert.Equal(t, []byte("x"), within.B)
}

func TestReadingAllocatesNothing(t *testing.T) {
	e := serializer.Envelope{From: []byte("a"), To: []byte("b"), ID: []byte("1"), Micros: math.MaxInt64}
	var err error
	e.Content, err = s.AppendContent(nil, map[string]any{"x": []any{1, 2.5, "y"}})
	require.NoError(t, err)
	b, err := s.AppendEnvelope(nil, &e)
	require.NoError(t, err)
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		_ = s.ParseEnvelope(b, &e)
		b, _ = s.AppendEnvelope(b[:0], &e)
	}))
}

// A struct with more fields than a short head can count, some of them left out.
func TestWideStruct(t *testing.T) {
	type wide struct {
		A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P, Q int `json:",omitempty"`
	}
	for _, v := range []wide{{}, {A: 1, Q: 2}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17}} {
		b, err := s.AppendContent(nil, v)
		require.NoError(t, err)
		var got wide
		require.NoError(t, s.DecodeContent(b, &got))
		assert.Equal(t, v, got)
	}
}

type hidden struct{ X int }

// A pointer to an embedded struct that is not exported cannot be made.
func TestEmbeddedPointer(t *testing.T) {
	type target struct{ *hidden }
	b, err := s.AppendContent(nil, target{&hidden{1}})
	require.NoError(t, err)
	assert.Error(t, s.DecodeContent(b, &target{}))
	got := target{&hidden{}}
	require.NoError(t, s.DecodeContent(b, &got))
	assert.Equal(t, 1, got.X)
	require.True(t, reflect.DeepEqual(target{&hidden{1}}, got))
}
