package serializertest

import (
	"bytes"
	"errors"
	"sync"
	"testing"

	"github.com/ipcmgr/ipcmgr/serializer"
)

// What is sound but does not fit is an error, and not one of corruption.
func decodeMisfits(t *testing.T, s serializer.Serializer) {
	misfits := map[string]struct{ sent, into any }{
		"text into int":        {"x", new(int)},
		"int into text":        {1, new(string)},
		"int into bytes":       {1, new([]byte)},
		"list into struct":     {[]int{1}, new(record)},
		"struct into list":     {record{JSON: []byte("1")}, new([]int)},
		"300 into int8":        {300, new(int8)},
		"-1 into uint":         {-1, new(uint)},
		"1.5 into int":         {1.5, new(int)},
		"max uint64 in int64":  {uint64(1 << 63), new(int64)},
		"huge into float32":    {1e300, new(float32)},
		"text key into int":    {map[string]int{"x": 1}, new(map[int]int)},
		"text into an error":   {"x", new(error)},
		"a value, no pointer":  {1, 1},
		"nothing":              {1, nil},
		"nil pointer":          {1, (*int)(nil)},
		"nil pointer to bytes": {[]byte("x"), (*[]byte)(nil)},
	}
	for name, m := range misfits {
		err := s.DecodeContent(content(t, s, m.sent), m.into)
		if err == nil || errors.Is(err, serializer.ErrCorrupt) {
			t.Errorf("%s: %v, want an error that is not ErrCorrupt", name, err)
		}
	}
	var known struct{ B int }
	if err := s.DecodeContent(content(t, s, map[string]any{"a": []any{1, map[string]any{"x": "y"}}, "b": 2}), &known); err != nil || known.B != 2 {
		t.Errorf("unknown fields are not skipped: %+v, %v", known, err)
	}
}

// What is decoded must not change with the bytes it came from.
func decodeCopies(t *testing.T, s serializer.Serializer) {
	type all struct {
		S string
		B []byte
		M map[string]any
	}
	b := content(t, s, all{"text", []byte("bytes"), map[string]any{"key": "value"}})
	var got all
	if err := s.DecodeContent(b, &got); err != nil {
		t.Fatal(err)
	}
	text := content(t, s, "plain")
	var plain string
	if err := s.DecodeContent(text, &plain); err != nil {
		t.Fatal(err)
	}
	raw := content(t, s, []byte("raw"))
	var bs []byte
	if err := s.DecodeContent(raw, &bs); err != nil {
		t.Fatal(err)
	}
	clear(b)
	clear(text)
	clear(raw)
	if got.S != "text" || string(got.B) != "bytes" || got.M["key"] != "value" || plain != "plain" || string(bs) != "raw" {
		t.Errorf("decoded values are views: %+v %q %q", got, plain, bs)
	}
}

func decodeReusesRoom(t *testing.T, s serializer.Serializer) {
	for _, size := range []int{1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 1000, 1001, 1002} {
		b := content(t, s, bytes.Repeat([]byte("x"), size))
		for _, more := range []int{0, 1, 3000} {
			memory := bytes.Repeat([]byte("."), size+more+8)
			buf := memory[: 0 : size+more]
			if err := s.DecodeContent(b, &buf); err != nil {
				t.Fatal(err)
			}
			if len(buf) != size || &buf[0] != &memory[0] {
				t.Errorf("a []byte with room for %d bytes is not reused for %d", size+more, size)
			}
			if behind := memory[size:]; !bytes.Equal(behind, bytes.Repeat([]byte("."), len(behind))) {
				t.Errorf("decoding %d bytes into room for %d writes behind them", size, size+more)
			}
		}
	}
}

func concurrent(t *testing.T, s serializer.Serializer) {
	e := envelopes(t, s)["everything"]
	want := message(t, s, e)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				var got serializer.Envelope
				var v any
				b, err := s.AppendEnvelope(nil, e)
				if err == nil && !bytes.Equal(b, want) {
					err = errors.New("the message is another one")
				}
				err = errors.Join(err, s.ParseEnvelope(want, &got), s.DecodeContent(got.Content, &v))
				if _, more := s.AppendContent(nil, Values()["struct"]); err != nil || more != nil {
					t.Error(err, more)
					return
				}
			}
		})
	}
	wg.Wait()
}
