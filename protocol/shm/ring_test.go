//go:build linux && !ipcmgr_fallback

package shm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/internal/trial"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// A ring gives what was put into it, in order, through any number of turns, and
// whatever the order of the acknowledgements is.
func TestRing(t *testing.T) {
	path := filepath.Join(trial.Place(t, Name), "ring")
	r, err := makeRing(path, minRoom)
	require.NoError(t, err)
	defer r.unmap()
	in, err := openInlet(path, ringName{}, false)
	require.NoError(t, err)
	defer in.unmap()
	out := &outlet{ring: r}
	var expected [][]byte
	var held []message
	for turn := range 20_000 {
		frame := make([]byte, rand.IntN(700))
		for i := range frame {
			frame[i] = byte(turn + i)
		}
		if n, bytes, tail := out.put([]protocol.Frame{{Data: frame}}); n == 1 {
			require.Equal(t, len(frame), bytes)
			require.True(t, out.publish(tail))
			expected = append(expected, frame)
		}
		if m, ok, err := in.next(); ok && rand.IntN(2) == 0 {
			require.NoError(t, err)
			require.True(t, bytes.Equal(expected[0], m.frame))
			expected = expected[1:]
			held = append(held, m)
		} else if ok {
			in.pos = m.pos // not this time
		}
		if len(held) > 0 && rand.IntN(2) == 0 {
			i := rand.IntN(len(held))
			n, ok := in.settle(held[i].pos)
			require.True(t, ok)
			require.Len(t, held[i].frame, n)
			_, ok = in.settle(held[i].pos)
			require.False(t, ok, "it was acknowledged before")
			held = append(held[:i], held[i+1:]...)
			in.free()
		}
	}
	require.Greater(t, out.end, uint64(10*minRoom))
}

// FuzzRing reads a ring that somebody has written over. Whatever is in it, what
// is given lies within it, and reading comes to an end.
func FuzzRing(f *testing.F) {
	words := func(tail, head uint64, records ...byte) []byte {
		b := binary.NativeEndian.AppendUint64(nil, tail)
		return append(binary.NativeEndian.AppendUint64(b, head), records...)
	}
	record := func(w uint64, frame ...byte) []byte {
		return append(binary.NativeEndian.AppendUint64(nil, w), frame...)
	}
	f.Add(words(16, 0, record(recordMark|5, 'h', 'e', 'l', 'l', 'o', 0, 0, 0)...))
	f.Add(words(16, 0, record(recordMark|flagPad|8)...))
	f.Add(words(4096, 0, record(recordMark|4088)...))
	f.Add(words(1<<40, 1<<40-8, record(recordMark)...))
	f.Add(words(8, 16))
	f.Add(words(16|over, 8, record(recordMark|flagDone)...))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < 16 {
			return
		}
		path := filepath.Join(trial.Place(t, Name), "ring")
		r, err := makeRing(path, minRoom)
		require.NoError(t, err)
		defer r.unmap()
		r.tail.Store(binary.NativeEndian.Uint64(data))
		r.head.Store(binary.NativeEndian.Uint64(data[8:]))
		copy(r.room, data[16:])
		in, err := openInlet(path, ringName{}, true)
		if err != nil {
			require.ErrorIs(t, err, errBroken)
			return
		}
		defer in.unmap()
		in.count()
		for range minRoom / 8 {
			m, ok, err := in.next()
			if !ok {
				require.True(t, err == nil || errors.Is(err, errBroken), err)
				return
			}
			for _, b := range m.frame {
				runtime.KeepAlive(b)
			}
			in.settle(m.pos)
			in.free()
		}
		_, ok, _ := in.next()
		require.False(t, ok, "more messages than there is room for")
	})
}

// A file that is no ring is refused, and none is followed elsewhere.
func TestOpenWhatIsNoRing(t *testing.T) {
	dir := trial.Place(t, Name)
	ring := filepath.Join(dir, "ring")
	r, err := makeRing(ring, minRoom)
	require.NoError(t, err)
	r.unmap()
	path := filepath.Join(dir, "other")
	for name, make := range map[string]func() error{
		"link":      func() error { return os.Symlink(ring, path) },
		"directory": func() error { return os.Mkdir(path, 0o700) },
		"short":     func() error { return os.WriteFile(path, []byte("short"), 0o600) },
		"odd":       func() error { return os.WriteFile(path, bytes.Repeat([]byte{1}, pageSize+minRoom+1), 0o600) },
		"zeros":     func() error { return os.WriteFile(path, bytes.Repeat([]byte{0}, pageSize+minRoom), 0o600) },
		"hole":      func() error { return errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, pageSize+maxRoom)) },
	} {
		require.NoError(t, make(), name)
		_, err := openRing(path)
		require.ErrorIs(t, err, errBroken, name)
		require.NoError(t, os.Remove(path))
	}
	_, err = openRing(path)
	require.ErrorIs(t, err, os.ErrNotExist)
}
