package json_test

import (
	"bytes"
	stdjson "encoding/json"
	"strconv"
	"testing"

	"github.com/ipcmgr/ipcmgr/serializer"
)

// plain is the same message as encoding/json would have it.
type plain struct {
	To      string             `json:"to"`
	From    string             `json:"from"`
	ID      string             `json:"id"`
	Stamp   float64            `json:"stamp"`
	Ord     uint64             `json:"stamp_ord"`
	Content stdjson.RawMessage `json:"content"`
}

func messages(b *testing.B, size int) (serializer.Envelope, plain) {
	content, err := s.AppendContent(nil, string(bytes.Repeat([]byte("x"), size-2)))
	if err != nil {
		b.Fatal(err)
	}
	e := serializer.Envelope{
		ID: []byte("01A1F738-21DE-73AF-A836-6C2211915732"), From: []byte("alice"), To: []byte("bob"),
		Micros: 1795149013470850, Content: content,
	}
	return e, plain{string(e.To), string(e.From), string(e.ID), 1795149013.47085, 0, content}
}

func BenchmarkEnvelope(b *testing.B) {
	for _, size := range []int{64, 1024} {
		e, p := messages(b, size)
		data, err := s.AppendEnvelope(nil, &e)
		if err != nil {
			b.Fatal(err)
		}
		name := strconv.Itoa(size)
		b.Run("encode/"+name+"/ours", func(b *testing.B) {
			b.ReportAllocs()
			var buf []byte
			for b.Loop() {
				if buf, err = s.AppendEnvelope(buf[:0], &e); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("encode/"+name+"/encoding-json", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := stdjson.Marshal(&p); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("decode/"+name+"/ours", func(b *testing.B) {
			b.ReportAllocs()
			var got serializer.Envelope
			for b.Loop() {
				if err := s.ParseEnvelope(data, &got); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("decode/"+name+"/encoding-json", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var got plain
				if err := stdjson.Unmarshal(data, &got); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

type record struct {
	Name  string            `json:"name"`
	Count int               `json:"count"`
	Tags  []string          `json:"tags"`
	Attrs map[string]string `json:"attrs"`
}

func BenchmarkContent(b *testing.B) {
	bytes1k := make([]byte, 1024)
	text1k := string(bytes.Repeat([]byte("x"), 1024))
	values := map[string]any{"bytes": bytes1k, "text": text1k, "struct": record{"n", 5, []string{"a", "b"}, map[string]string{"k": "v"}}, "map": map[string]any{"a": 1, "b": []any{"x", 2.5}}}
	for name, v := range values {
		b.Run("encode/"+name+"/ours", func(b *testing.B) {
			b.ReportAllocs()
			var buf []byte
			var err error
			for b.Loop() {
				if buf, err = s.AppendContent(buf[:0], v); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("encode/"+name+"/encoding-json", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := stdjson.Marshal(v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	data, err := s.AppendContent(nil, bytes1k)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("decode/bytes/ours", func(b *testing.B) {
		b.ReportAllocs()
		var buf []byte
		for b.Loop() {
			if err := s.DecodeContent(data, &buf); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode/bytes/encoding-json", func(b *testing.B) {
		b.ReportAllocs()
		var buf []byte
		for b.Loop() {
			if err := stdjson.Unmarshal(data, &buf); err != nil {
				b.Fatal(err)
			}
		}
	})
}
