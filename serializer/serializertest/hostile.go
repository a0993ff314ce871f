package serializertest

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/ipcmgr/ipcmgr/serializer"
)

// small are messages short enough to try all that can be done to them.
func small(t testing.TB, s serializer.Serializer) [][]byte {
	all := envelopes(t, s)
	var ms [][]byte
	for _, name := range []string{"usual", "bare", "broadcast", "odd ids", "headers", "extra", "everything"} {
		ms = append(ms, message(t, s, all[name]))
	}
	for _, v := range []any{-1.5, "ü😀", []byte("bytes"), Values()["struct"], Values()["any list"]} {
		ms = append(ms, message(t, s, &serializer.Envelope{From: []byte("a"), Content: content(t, s, v)}))
	}
	return ms
}

func truncated(t *testing.T, s serializer.Serializer) {
	for _, m := range small(t, s) {
		for n := range m {
			var e serializer.Envelope
			if err := s.ParseEnvelope(m[:n:n], &e); !errors.Is(err, serializer.ErrCorrupt) {
				t.Fatalf("the first %d bytes of %q: %v, want ErrCorrupt", n, m, err)
			}
		}
	}
	if err := s.DecodeContent(nil, new(any)); !errors.Is(err, serializer.ErrCorrupt) {
		t.Errorf("content of no bytes: %v, want ErrCorrupt", err)
	}
}

func trailing(t *testing.T, s serializer.Serializer) {
	for _, m := range small(t, s) {
		for _, more := range []string{"x", "1", "\x00", "{}", "\xc0", string(m)} {
			var e serializer.Envelope
			if err := s.ParseEnvelope(append(m[:len(m):len(m)], more...), &e); !errors.Is(err, serializer.ErrCorrupt) {
				t.Errorf("%q with %q behind it: %v, want ErrCorrupt", m, more, err)
			}
		}
	}
	b := content(t, s, []int{1})
	if err := s.DecodeContent(append(b, b...), new(any)); !errors.Is(err, serializer.ErrCorrupt) {
		t.Errorf("two contents at once: %v, want ErrCorrupt", err)
	}
}

// mutated changes messages at random, always in the same way. Nothing may
// panic or allocate out of proportion, and what is accepted can be decoded.
func mutated(t *testing.T, s serializer.Serializer) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, m := range small(t, s) {
		for range 2000 {
			b := mutate(rng, m)
			var e serializer.Envelope
			var err error
			if got, most := allocated(func() { err = s.ParseEnvelope(b, &e) }), uint64(64*len(b)+64<<10); got > most {
				t.Fatalf("reading %q allocates %d bytes, more than %d", b, got, most)
			}
			if err != nil {
				if !errors.Is(err, serializer.ErrCorrupt) {
					t.Fatalf("reading %q: %v, want ErrCorrupt", b, err)
				}
				continue
			}
			var v any
			if got, most := allocated(func() { err = s.DecodeContent(e.Content, &v) }), uint64(128*len(b)+64<<10); got > most {
				t.Fatalf("decoding %q allocates %d bytes, more than %d", e.Content, got, most)
			}
			if err != nil {
				t.Fatalf("%q is accepted, but not decoded into an any: %v", b, err)
			}
			if _, err := s.AppendEnvelope(nil, &e); err != nil {
				t.Fatalf("%q is accepted, but not written again: %v", b, err)
			}
			var r record
			if got, most := allocated(func() { err = s.DecodeContent(e.Content, &r) }), uint64(1024*len(b)+64<<10); got > most {
				t.Fatalf("decoding %q into a struct allocates %d bytes, more than %d", e.Content, got, most)
			}
		}
	}
}

func mutate(rng *rand.Rand, m []byte) []byte {
	b := append([]byte(nil), m...)
	for range 1 + rng.IntN(3) {
		at := rng.IntN(len(b))
		switch rng.IntN(5) {
		case 0:
			b[at] ^= 1 << rng.IntN(8)
		case 1:
			b[at] = byte(rng.Uint32())
		case 2:
			b[at] = 0xff
		case 3:
			b = append(b[:at], append([]byte{byte(rng.Uint32())}, b[at:]...)...)
		case 4:
			if len(b) > 1 {
				b = append(b[:at], b[at+1:]...)
			}
		}
	}
	return b
}

// allocated returns how many bytes f allocates, and with it whatever else the
// process does at the same time.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
