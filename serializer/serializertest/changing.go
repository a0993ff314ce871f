package serializertest

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/ipcmgr/ipcmgr/serializer"
)

// meddler decodes itself, and that is when the bytes it comes from change.
type meddler struct{ meddle func() }

func (m *meddler) UnmarshalJSON([]byte) error {
	m.meddle()
	return nil
}

// changedWithin changes content when it is decoded in part: one byte of it, or
// all that is left. What is decoded then is what was there before or after, or
// an error, and costs as little as ever.
func changedWithin(t *testing.T, s serializer.Serializer) {
	for _, v := range []any{
		"text", []byte("bytes"), 70000, Values()["any list"], record{JSON: json.RawMessage(`{"a":[1]}`)},
		map[string]any{"long": "ü😀" + string(make([]byte, 60)), "list": make([]bool, 40)},
	} {
		was := content(t, s, struct {
			A int
			B any
		}{1, v})
		for i := range was {
			all := changes(i)
			got := allocated(func() {
				for _, change := range all {
					changedOnce(t, s, was, change)
				}
			})
			if most := uint64(len(all) * (1024*len(was) + 64<<10)); got > most {
				t.Errorf("decoding %q, changed at byte %d meanwhile, allocates %d bytes, more than %d", was, i, got, most)
			}
		}
	}
}

// changes are what may become of bytes at i and behind.
func changes(i int) (all []func([]byte)) {
	for _, bit := range []int{0, 5, 7} {
		all = append(all, func(b []byte) { b[i] ^= 1 << bit })
	}
	for _, c := range []byte("\xff\xdd\xdf[\"\\") {
		all = append(all,
			func(b []byte) { b[i] = c },
			func(b []byte) { copy(b[i:], bytes.Repeat([]byte{c}, len(b))) })
	}
	return all
}

// changedOnce decodes content into some types, each time with one change.
func changedOnce(t *testing.T, s serializer.Serializer, was []byte, change func([]byte)) {
	t.Helper()
	decoding := func(m *meddler, into any) error {
		b, met := bytes.Clone(was), false
		m.meddle = func() { change(b); met = true }
		err := s.DecodeContent(b, into)
		if !met {
			t.Fatalf("%q has nothing for a method: %v", was, err)
		}
		return err
	}
	var whole struct {
		A meddler
		B any
	}
	if err := decoding(&whole.A, &whole); err != nil && !errors.Is(err, serializer.ErrCorrupt) {
		t.Errorf("%q, changed while it is decoded: %v, want nothing or ErrCorrupt", was, err)
	}
	var raw struct {
		A meddler
		B json.RawMessage
	}
	if err := decoding(&raw.A, &raw); err == nil && !json.Valid(raw.B) {
		t.Errorf("%q, changed while it is decoded: %q is no JSON", was, raw.B)
	}
	var typed struct {
		A meddler
		B record
	}
	_ = decoding(&typed.A, &typed) // it need not fit
}

// changedMeanwhile reads messages in memory that somebody else writes to at the
// same time: nothing may panic or go on for ever.
func changedMeanwhile(t *testing.T, s serializer.Serializer) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, m := range small(t, s) {
		memory, write := written(t, len(m))
		write(m)
		over := make(chan struct{})
		var writing sync.WaitGroup
		writing.Go(func() {
			for {
				b := bytes.Clone(m)
				b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
				write(b)
				write(m)
				select {
				case <-over:
					return
				default:
				}
			}
		})
		for range 1000 {
			var e serializer.Envelope
			err := s.ParseEnvelope(memory, &e)
			if err == nil {
				var v any
				err = s.DecodeContent(e.Content, &v)
				_ = s.DecodeContent(e.Content, &record{})
				_ = s.DecodeContent(e.Content, new(string))
				_ = s.DecodeContent(e.Content, new([]byte))
			}
			if err != nil && !errors.Is(err, serializer.ErrCorrupt) {
				t.Errorf("%q, changed while it is read: %v, want ErrCorrupt", m, err)
				break
			}
		}
		close(over)
		writing.Wait()
	}
}
