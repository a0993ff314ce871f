package json_test

import (
	"bytes"
	stdjson "encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/ipcmgr/ipcmgr/serializer"
	"github.com/ipcmgr/ipcmgr/serializer/json"
)

var s json.Serializer

// seed adds every message that we and Perl wrote, or the content of each.
func seed(f *testing.F, content bool) {
	for _, pattern := range []string{"wire/json/*.bin", "perl/messagefiles/*/*.ready", "perl/messagefiles/*.stats"} {
		files, err := filepath.Glob("../../testdata/" + pattern)
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
				if s.ParseEnvelope(data, &e) == nil {
					data = e.Content
				}
			}
			if len(data) < 10000 {
				f.Add(data)
			}
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
		if !stdjson.Valid(data) {
			t.Fatalf("%q is accepted, and is not JSON", data)
		}
		var v any
		if err := s.DecodeContent(e.Content, &v); err != nil {
			t.Fatal(err)
		}
		b, err := s.AppendEnvelope(nil, &e)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range b {
			if c >= 0x80 {
				t.Fatalf("%q is not ASCII", b)
			}
		}
		if err := s.ParseEnvelope(b, &again); err != nil {
			t.Fatalf("written again as %q: %v", b, err)
		}
		if !bytes.Equal(e.From, again.From) || !bytes.Equal(e.To, again.To) || !bytes.Equal(e.ID, again.ID) ||
			e.Micros != again.Micros || e.Ord != again.Ord || e.Broadcast != again.Broadcast ||
			len(e.Headers) != len(again.Headers) || len(e.Extra) != len(again.Extra) {
			t.Fatalf("%+v was written as %+v", e, again)
		}
	})
}

// FuzzContent compares with encoding/json, which may accept more, and must
// decode the same.
func FuzzContent(f *testing.F) {
	seed(f, true)
	f.Fuzz(func(t *testing.T, data []byte) {
		var v, std, again any
		stdErr := stdjson.Unmarshal(data, &std)
		if err := s.DecodeContent(data, &v); err != nil {
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
		b, err := s.AppendContent(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.DecodeContent(b, &again); err != nil || !reflect.DeepEqual(v, again) {
			t.Fatalf("%v was written as %q and read as %v, %v", v, b, again, err)
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
