package serializertest

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/ipcmgr/ipcmgr/serializer"
)

// envelopes are messages with each part absent, present and at its edge.
func envelopes(t testing.TB, s serializer.Serializer) map[string]*serializer.Envelope {
	one := content(t, s, 1)
	base := func(change func(*serializer.Envelope)) *serializer.Envelope {
		e := &serializer.Envelope{
			ID: []byte("01A1F738-21DE-73AF-A836-6C2211915732"), From: []byte("alice"), To: []byte("bob"),
			Micros: 1795149013470850, Content: one,
		}
		change(e)
		return e
	}
	return map[string]*serializer.Envelope{
		"usual":       base(func(*serializer.Envelope) {}),
		"bare":        {From: []byte("a"), Content: one},
		"broadcast":   base(func(e *serializer.Envelope) { e.Broadcast = true }),
		"epoch":       base(func(e *serializer.Envelope) { e.Micros = 0 }),
		"microsecond": base(func(e *serializer.Envelope) { e.Micros = 1795149013000001 }),
		"long ago":    base(func(e *serializer.Envelope) { e.Micros = -1 }),
		"latest":      base(func(e *serializer.Envelope) { e.Micros = math.MaxInt64 }),
		"earliest":    base(func(e *serializer.Envelope) { e.Micros = math.MinInt64 }),
		"ord":         base(func(e *serializer.Envelope) { e.Ord = math.MaxUint64 }),
		"long ids": base(func(e *serializer.Envelope) {
			e.From, e.To = bytes.Repeat([]byte("f"), 512), bytes.Repeat([]byte("ü"), 256)
		}),
		"odd ids": base(func(e *serializer.Envelope) {
			e.From, e.To, e.ID = []byte("a \"b\\c\x00\n\u007f"), []byte("żółw €😀\u2028\ufffd"), []byte("</script>&")
		}),
		"headers": base(func(e *serializer.Envelope) {
			e.Headers = []serializer.Pair{{Key: "traceparent", Value: "00-ab-cd-01"}, {Key: "", Value: ""}, {Key: "ключ", Value: "\"\n😀"}}
		}),
		"most headers": base(func(e *serializer.Envelope) {
			for i := range serializer.MaxFields {
				e.Headers = append(e.Headers, serializer.Pair{Key: fmt.Sprint(i), Value: "v"})
			}
		}),
		"extra": base(func(e *serializer.Envelope) {
			e.Extra = []serializer.Field{{Key: "added", Value: content(t, s, map[string]int{"x": 1})}, {Key: "ü", Value: one}}
		}),
		"everything": base(func(e *serializer.Envelope) {
			e.Broadcast, e.Ord = true, 7
			e.Headers = []serializer.Pair{{Key: "k", Value: "v"}}
			e.Extra = []serializer.Field{{Key: "added", Value: content(t, s, []string{"x", "y"})}}
			e.Content = content(t, s, map[string]any{"a": []any{1, "two", nil, true}, "b": map[string]any{}})
		}),
		"bytes": base(func(e *serializer.Envelope) { e.Content = content(t, s, bytes.Repeat([]byte{0, 0xff, '"'}, 1000)) }),
		"text":  base(func(e *serializer.Envelope) { e.Content = content(t, s, strings.Repeat("x\x00ü😀", 1000)) }),
	}
}

func envelopeRoundTrip(t *testing.T, s serializer.Serializer) {
	for name, e := range envelopes(t, s) {
		t.Run(name, func(t *testing.T) {
			var got serializer.Envelope
			if err := s.ParseEnvelope(message(t, s, e), &got); err != nil {
				t.Fatal(err)
			}
			if !equal(e, &got) {
				t.Errorf("wrote %+v\nread  %+v", e, &got)
			}
		})
	}
}

// What an earlier message left in an Envelope must not show in the next one,
// and bytes that it was a view of must not be written to.
func envelopeIsOverwritten(t *testing.T, s serializer.Serializer) {
	all := envelopes(t, s)
	for name, e := range all {
		full, next := message(t, s, all["everything"]), message(t, s, e)
		before := bytes.Clone(full)
		var got serializer.Envelope
		if err := s.ParseEnvelope(full, &got); err != nil {
			t.Fatal(err)
		}
		if err := s.ParseEnvelope(next, &got); err != nil {
			t.Fatal(err)
		}
		if !equal(e, &got) {
			t.Errorf("%s, read into a used Envelope: %+v", name, &got)
		}
		if !bytes.Equal(before, full) {
			t.Errorf("reading %s wrote to the message read before", name)
		}
	}
}

func envelopeRefusals(t *testing.T, s serializer.Serializer) {
	one := content(t, s, 1)
	pairs := make([]serializer.Pair, serializer.MaxFields+1)
	for i := range pairs {
		pairs[i].Key = fmt.Sprint(i)
	}
	refused := map[string]*serializer.Envelope{
		"no content":       {From: []byte("a")},
		"no sender":        {Content: one},
		"sender 0":         {From: []byte("0"), Content: one},
		"sender not UTF-8": {From: []byte("\xff"), Content: one},
		"id not UTF-8":     {From: []byte("a"), ID: []byte("\xc3"), Content: one},
		"to not UTF-8":     {From: []byte("a"), To: []byte("\xed\xa0\x80"), Content: one},
		"header twice":     {From: []byte("a"), Content: one, Headers: []serializer.Pair{{Key: "k"}, {Key: "k"}}},
		"header not UTF-8": {From: []byte("a"), Content: one, Headers: []serializer.Pair{{Key: "k", Value: "\xff"}}},
		"too many headers": {From: []byte("a"), Content: one, Headers: pairs},
		"field twice":      {From: []byte("a"), Content: one, Extra: []serializer.Field{{Key: "k", Value: one}, {Key: "k", Value: one}}},
		"empty field":      {From: []byte("a"), Content: one, Extra: []serializer.Field{{Key: "k"}}},
	}
	for name, e := range refused {
		b, err := s.AppendEnvelope([]byte("kept"), e)
		if err == nil {
			t.Errorf("%s was written", name)
		}
		if string(b) != "kept" {
			t.Errorf("%s: with an error, %q is returned instead of what was given", name, b)
		}
		if name == "no content" && !errors.Is(err, serializer.ErrNil) {
			t.Errorf("%s: %v, want ErrNil", name, err)
		}
	}
}

func envelopeAppends(t *testing.T, s serializer.Serializer) {
	for name, e := range envelopes(t, s) {
		b, err := s.AppendEnvelope([]byte("before"), e)
		if err != nil || string(b) != "before"+string(message(t, s, e)) {
			t.Errorf("%s is not appended as it is written alone: %v", name, err)
		}
	}
}

// A message that is read and written again stays the same message.
func forwarding(t *testing.T, s serializer.Serializer) {
	for name, e := range envelopes(t, s) {
		first := message(t, s, e)
		var got serializer.Envelope
		if err := s.ParseEnvelope(first, &got); err != nil {
			t.Fatal(err)
		}
		if again := message(t, s, &got); !bytes.Equal(first, again) {
			t.Errorf("%s: written again as\n%q, was\n%q", name, again, first)
		}
	}
}
