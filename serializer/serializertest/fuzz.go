package serializertest

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/ipcmgr/ipcmgr/serializer"
)

// Seed gives a fuzz target the messages in the files that match one of the
// patterns, or the content of each. It fails when a pattern matches none.
func Seed(f *testing.F, s serializer.Serializer, contents bool, patterns ...string) {
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatalf("no seeds: %q: %v", pattern, err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			var e serializer.Envelope
			if contents && s.ParseEnvelope(data, &e) == nil {
				data = e.Content
			}
			if len(data) < 10000 {
				f.Add(data)
			}
		}
	}
}

// RewriteMessage holds that data, if s takes it for a message, is written again
// as the same one. It returns what was written, or nil.
func RewriteMessage(t testing.TB, s serializer.Serializer, data []byte) []byte {
	t.Helper()
	var e, again serializer.Envelope
	if s.ParseEnvelope(data, &e) != nil {
		return nil
	}
	v, ok := RewriteContent(t, s, e.Content)
	if !ok {
		t.Fatalf("content %q is accepted in a message, and does not decode", e.Content)
	}
	b := message(t, s, &e)
	if err := s.ParseEnvelope(b, &again); err != nil {
		t.Fatalf("written again as %q: %v", b, err)
	}
	if w, _ := RewriteContent(t, s, again.Content); !reflect.DeepEqual(v, w) ||
		!bytes.Equal(e.From, again.From) || !bytes.Equal(e.To, again.To) || !bytes.Equal(e.ID, again.ID) ||
		e.Micros != again.Micros || e.Ord != again.Ord || e.Broadcast != again.Broadcast ||
		len(e.Headers) != len(again.Headers) || len(e.Extra) != len(again.Extra) {
		t.Fatalf("%+v was written as %+v", e, again)
	}
	return b
}

// RewriteContent holds that data, if s takes it for content, is written again as
// the same value, which it returns.
func RewriteContent(t testing.TB, s serializer.Serializer, data []byte) (v any, ok bool) {
	t.Helper()
	if s.DecodeContent(data, &v) != nil {
		return nil, false
	}
	var again any
	b := content(t, s, v)
	if err := s.DecodeContent(b, &again); err != nil || !reflect.DeepEqual(v, again) {
		t.Fatalf("%v was written as %q and read as %v, %v", v, b, again, err)
	}
	return v, true
}
