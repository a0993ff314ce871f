package msgpack_test

import (
	"strconv"
	"testing"

	vm "github.com/vmihailenco/msgpack/v5"

	"github.com/ipcmgr/ipcmgr/serializer"
)

// plain is the same message as vmihailenco/msgpack would have it.
type plain struct {
	_msgpack       struct{} `msgpack:",as_array"` //nolint:unused // the library looks for it
	From, To, ID   string
	Micros         int64
	Ord            uint64
	Flags          uint8
	Headers, Extra map[string]string
	Content        []byte
}

func BenchmarkEnvelope(b *testing.B) {
	for _, size := range []int{64, 1024} {
		raw := make([]byte, size)
		content, err := s.AppendContent(nil, raw)
		if err != nil {
			b.Fatal(err)
		}
		e := serializer.Envelope{
			ID: []byte("01A1F738-21DE-73AF-A836-6C2211915732"), From: []byte("alice"), To: []byte("bob"),
			Micros: 1795149013470850, Content: content,
		}
		p := plain{From: "alice", To: "bob", ID: string(e.ID), Micros: e.Micros, Content: raw}
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
		b.Run("encode/"+name+"/vmihailenco", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := vm.Marshal(&p); err != nil {
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
		b.Run("decode/"+name+"/vmihailenco", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var got plain
				if err := vm.Unmarshal(data, &got); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

type record struct {
	Name  string            `json:"name" msgpack:"name"`
	Count int               `json:"count" msgpack:"count"`
	Tags  []string          `json:"tags" msgpack:"tags"`
	Attrs map[string]string `json:"attrs" msgpack:"attrs"`
}

func BenchmarkContent(b *testing.B) {
	v := record{"n", 5, []string{"a", "b"}, map[string]string{"k": "v"}}
	data, err := s.AppendContent(nil, v)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("encode/struct/ours", func(b *testing.B) {
		b.ReportAllocs()
		var buf []byte
		for b.Loop() {
			if buf, err = s.AppendContent(buf[:0], v); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encode/struct/vmihailenco", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := vm.Marshal(v); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode/struct/ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var got record
			if err := s.DecodeContent(data, &got); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode/struct/vmihailenco", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var got record
			if err := vm.Unmarshal(data, &got); err != nil {
				b.Fatal(err)
			}
		}
	})
	raw := make([]byte, 1024)
	bin, err := s.AppendContent(nil, raw)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("encode/bytes/ours", func(b *testing.B) {
		b.ReportAllocs()
		var buf []byte
		for b.Loop() {
			buf, _ = s.AppendContent(buf[:0], raw)
		}
	})
	b.Run("decode/bytes/ours", func(b *testing.B) {
		b.ReportAllocs()
		var buf []byte
		for b.Loop() {
			if err := s.DecodeContent(bin, &buf); err != nil {
				b.Fatal(err)
			}
		}
	})
}
