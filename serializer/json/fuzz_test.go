package json_test

import (
	stdjson "encoding/json"
	"reflect"
	"testing"

	"github.com/ipcmgr/ipcmgr/serializer/json"
	"github.com/ipcmgr/ipcmgr/serializer/serializertest"
)

var s json.Serializer

func seed(f *testing.F, contents bool) {
	serializertest.Seed(f, s, contents, "../../testdata/wire/json/*.bin", "../../testdata/perl/messagefiles/*/*.ready", "../../testdata/perl/messagefiles/*.stats")
}

func FuzzEnvelope(f *testing.F) {
	seed(f, false)
	f.Fuzz(func(t *testing.T, data []byte) {
		b := serializertest.RewriteMessage(t, s, data)
		if b != nil && !stdjson.Valid(data) {
			t.Fatalf("%q is accepted, and is not JSON", data)
		}
		for _, c := range b {
			if c >= 0x80 {
				t.Fatalf("%q is not ASCII", b)
			}
		}
	})
}

// FuzzContent compares with encoding/json, which may accept more, and must
// decode the same.
func FuzzContent(f *testing.F) {
	seed(f, true)
	f.Fuzz(func(t *testing.T, data []byte) {
		var std any
		stdErr := stdjson.Unmarshal(data, &std)
		v, ok := serializertest.RewriteContent(t, s, data)
		if !ok {
			if s, ok := std.(string); ok && stdErr == nil {
				checkText(t, s)
			}
			return
		}
		if stdErr != nil || !reflect.DeepEqual(v, std) {
			t.Fatalf("%q is %v, encoding/json has %v, %v", data, v, std, stdErr)
		}
		if text, ok := std.(string); ok {
			var got string
			if err := s.DecodeContent(data, &got); err != nil || got != text {
				t.Fatalf("%q is %q, encoding/json has %q", data, got, text)
			}
			checkText(t, text)
		}
		var raw stdjson.RawMessage
		if b, err := s.AppendContent(nil, stdjson.RawMessage(data)); err == nil {
			if err := s.DecodeContent(b, &raw); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func checkText(t *testing.T, text string) {
	b, err := s.AppendContent(nil, text)
	if err != nil {
		t.Fatal(err)
	}
	var got string
	if err := stdjson.Unmarshal(b, &got); err != nil || got != text {
		t.Fatalf("%q was written as %q and read as %q, %v", text, b, got, err)
	}
}
