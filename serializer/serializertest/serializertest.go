// Package serializertest is the suite that a serializer passes: ours, and
// those of others.
//
//	func TestConformance(t *testing.T) { serializertest.Run(t, mine.Serializer{}) }
package serializertest

import (
	"bytes"
	"slices"
	"testing"

	"github.com/ipcmgr/ipcmgr/serializer"
)

// Run checks s against the contract of package serializer, in subtests.
func Run(t *testing.T, s serializer.Serializer) {
	if s.Name() == "" {
		t.Error("the serializer has no name")
	}
	tests := []struct {
		name string
		run  func(*testing.T, serializer.Serializer)
	}{
		{"EnvelopeRoundTrip", envelopeRoundTrip},
		{"EnvelopeIsOverwritten", envelopeIsOverwritten},
		{"EnvelopeRefusals", envelopeRefusals},
		{"EnvelopeAppends", envelopeAppends},
		{"Forwarding", forwarding},
		{"ContentRoundTrip", contentRoundTrip},
		{"ContentRefusals", contentRefusals},
		{"ContentDepth", contentDepth},
		{"ContentAppends", contentAppends},
		{"DecodeMisfits", decodeMisfits},
		{"DecodeCopies", decodeCopies},
		{"DecodeReusesRoom", decodeReusesRoom},
		{"Truncated", truncated},
		{"Trailing", trailing},
		{"Mutated", mutated},
		{"ChangedWithin", changedWithin},
		{"ChangedMeanwhile", changedMeanwhile},
		{"Concurrent", concurrent},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, s) })
	}
}

// content encodes v, which must work.
func content(t testing.TB, s serializer.Serializer, v any) []byte {
	t.Helper()
	b, err := s.AppendContent(nil, v)
	if err != nil {
		t.Fatalf("AppendContent(%T): %v", v, err)
	}
	return b
}

// message encodes e, which must work.
func message(t testing.TB, s serializer.Serializer, e *serializer.Envelope) []byte {
	t.Helper()
	b, err := s.AppendEnvelope(nil, e)
	if err != nil {
		t.Fatalf("AppendEnvelope: %v", err)
	}
	return b
}

func equal(a, b *serializer.Envelope) bool {
	return bytes.Equal(a.ID, b.ID) && bytes.Equal(a.From, b.From) && bytes.Equal(a.To, b.To) &&
		a.Micros == b.Micros && a.Ord == b.Ord && a.Broadcast == b.Broadcast &&
		slices.Equal(a.Headers, b.Headers) && bytes.Equal(a.Content, b.Content) &&
		slices.EqualFunc(a.Extra, b.Extra, func(x, y serializer.Field) bool {
			return x.Key == y.Key && bytes.Equal(x.Value, y.Value)
		})
}
