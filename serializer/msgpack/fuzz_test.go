package msgpack_test

import (
	"encoding/json"
	"testing"

	vm "github.com/vmihailenco/msgpack/v5"

	"github.com/ipcmgr/ipcmgr/serializer/msgpack"
	"github.com/ipcmgr/ipcmgr/serializer/serializertest"
)

var s msgpack.Serializer

const golden = "../../testdata/wire/msgpack/*.bin"

func FuzzEnvelope(f *testing.F) {
	serializertest.Seed(f, s, false, golden)
	f.Fuzz(func(t *testing.T, data []byte) { serializertest.RewriteMessage(t, s, data) })
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
	serializertest.Seed(f, s, true, golden)
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, ok := serializertest.RewriteContent(t, s, data); !ok {
			return
		}
		var other any
		if err := vm.Unmarshal(data, &other); err != nil {
			t.Fatalf("%q is accepted, vmihailenco says %v", data, err)
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
