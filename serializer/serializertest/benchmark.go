package serializertest

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"

	"github.com/ipcmgr/ipcmgr/serializer"
)

// Other is a general encoder of the form of a serializer.
type Other struct {
	Name      string
	Marshal   func(v any) ([]byte, error)
	Unmarshal func(data []byte, v any) error
	// Message is what it would write for a message, as a pointer to a struct.
	Message func(e *serializer.Envelope) any
}

// Benchmark shows what s costs beside another encoder: messages of 64 bytes and
// 1 KiB, and contents of some types.
func Benchmark(b *testing.B, s serializer.Serializer, other Other) {
	for _, size := range []int{64, 1024} {
		e := serializer.Envelope{
			ID: []byte("01A1F738-21DE-73AF-A836-6C2211915732"), From: []byte("alice"), To: []byte("bob"),
			Micros: 1795149013470850, Content: content(b, s, string(bytes.Repeat([]byte("x"), size-2))),
		}
		data, message := message(b, s, &e), other.Message(&e)
		theirs, err := other.Marshal(message)
		if err != nil {
			b.Fatal(err)
		}
		var buf []byte
		var got serializer.Envelope
		name := fmt.Sprintf("message/%d/", size)
		measure(b, name+"encode/ours", func() error { buf, err = s.AppendEnvelope(buf[:0], &e); return err })
		measure(b, name+"encode/"+other.Name, func() error { _, err := other.Marshal(message); return err })
		measure(b, name+"decode/ours", func() error { return s.ParseEnvelope(data, &got) })
		measure(b, name+"decode/"+other.Name, func() error { return other.Unmarshal(theirs, fresh(message)) })
	}
	for name, v := range map[string]any{
		"bytes":  new(make([]byte, 1024)),
		"text":   new(string(bytes.Repeat([]byte("x"), 1024))),
		"struct": &benchmarked{"n", 5, []string{"a", "b"}, map[string]string{"k": "v"}},
		"any":    new(any(map[string]any{"a": 1.5, "b": []any{"x", 2.5}})),
	} {
		data := content(b, s, v)
		theirs, err := other.Marshal(v)
		if err != nil {
			b.Fatal(err)
		}
		var buf []byte
		name = "content/" + name + "/"
		measure(b, name+"encode/ours", func() error { buf, err = s.AppendContent(buf[:0], v); return err })
		measure(b, name+"encode/"+other.Name, func() error { _, err := other.Marshal(v); return err })
		measure(b, name+"decode/ours", func() error { return s.DecodeContent(data, fresh(v)) })
		measure(b, name+"decode/"+other.Name, func() error { return other.Unmarshal(theirs, fresh(v)) })
	}
}

type benchmarked struct {
	Name  string            `json:"name"`
	Count int               `json:"count"`
	Tags  []string          `json:"tags"`
	Attrs map[string]string `json:"attrs"`
}

// fresh gives a pointer like v to a new value.
func fresh(v any) any { return reflect.New(reflect.TypeOf(v).Elem()).Interface() }

func measure(b *testing.B, name string, f func() error) {
	b.Run(name, func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := f(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
