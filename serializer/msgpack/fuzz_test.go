package msgpack_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	vm "github.com/vmihailenco/msgpack/v5"

	"github.com/ipcmgr/ipcmgr/serializer"
	"github.com/ipcmgr/ipcmgr/serializer/msgpack"
)

var s msgpack.Serializer

// seed adds every golden message, or the content of each.
func seed(f *testing.F, content bool) {
	files, err := filepath.Glob("../../testdata/wire/msgpack/*.bin")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		if content {
			var e serializer.Envelope
			if err := s.ParseEnvelope(data, &e); err != nil {
				f.Fatal(err)
			}
			data = e.Content
		}
		if len(data) < 10000 {
			f.Add(data)
		}
	}
}

func FuzzEnvelope(f *testing.F) {
	seed(f, false)
	f.Fuzz(func(t *testing.T, data []byte) {
		var e, again serializer.Envelope
		if s.ParseEnvelope(data, &e) != nil {
			return
		}
		var v any
		if err := s.DecodeContent(e.Content, &v); err != nil {
			t.Fatal(err)
		}
		b, err := s.AppendEnvelope(nil, &e)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.ParseEnvelope(b, &again); err != nil {
			t.Fatalf("written again as %q: %v", b, err)
		}
		if !bytes.Equal(e.From, again.From) || !bytes.Equal(e.To, again.To) || !bytes.Equal(e.ID, again.ID) ||
			e.Micros != again.Micros || e.Ord != again.Ord || e.Broadcast != again.Broadcast ||
			len(e.Headers) != len(again.Headers) || len(e.Extra) != len(again.Extra) || !bytes.Equal(e.Content, again.Content) {
			t.Fatalf("%+v was written as %+v", e, again)
		}
	})
}

type target struct {
	A any
	B []byte
	C map[int]string
	D *target
	E [2]uint8
	F []float32
	G json.RawMessage
	X string `json:"x"`
	Y bool   `json:"nested"`
}

// FuzzContent compares with vmihailenco/msgpack, which must be able to read
// what is accepted.
func FuzzContent(f *testing.F) {
	seed(f, true)
	f.Fuzz(func(t *testing.T, data []byte) {
		var v, again, other any
		if s.DecodeContent(data, &v) != nil {
			return
		}
		if err := vm.Unmarshal(data, &other); err != nil {
			t.Fatalf("%q is accepted, vmihailenco says %v", data, err)
		}
		b, err := s.AppendContent(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.DecodeContent(b, &again); err != nil || !reflect.DeepEqual(v, again) {
			t.Fatalf("%v was written as %q and read as %v, %v", v, b, again, err)
		}
		var raw json.RawMessage
		if err := s.DecodeContent(data, &raw); err != nil || !json.Valid(raw) {
			t.Fatalf("%q in JSON is %q, %v", data, raw, err)
		}
		// Whether these fit does not matter, only that they return.
		_ = s.DecodeContent(data, &target{})
		_ = s.DecodeContent(data, &[]target{})
		_ = s.DecodeContent(data, &map[string]target{})
	})
}
