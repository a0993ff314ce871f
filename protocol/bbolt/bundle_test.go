package bbolt

import (
	"fmt"
	"testing"

	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/stretchr/testify/require"
)

// Messages of any size come out of a file as they went in, from any of them on,
// and what is left when some are forgotten is in order.
func TestBundles(t *testing.T) {
	boxes := t.TempDir()
	newBox(t, boxes, "b", false)
	f := useFile(t, boxes, "b", false)
	var all []string
	for _, size := range []int{0, 1, 100, 5000, bundleBytes, 3 * bundleBytes} {
		var frames []protocol.Frame
		for range 20 {
			text := fmt.Sprintf("%d %0*d", len(all), size, 0)
			if size == 0 {
				text = ""
			}
			all = append(all, text)
			frames = append(frames, protocol.Frame{Data: []byte(text)})
		}
		require.NoError(t, f.write(t.Context(), func(l *ledger) error {
			l.add(pack(frames))
			return nil
		}))
	}
	require.Equal(t, all, contents(t, f))
	require.NoError(t, f.read(t.Context(), func(l *ledger) error {
		for n := range all {
			require.Equal(t, all[n], string(l.get(uint64(n)+1)))
			l.from(uint64(n)+1, func(got uint64, data []byte) bool {
				require.EqualValues(t, n+1, got)
				return false
			})
		}
		require.Nil(t, l.get(uint64(len(all))+1))
		return nil
	}))
	gone := spans{{2, 5}, {7, 7}, {15, 43}, {119, 130}}
	var left []string
	for i, text := range all {
		if !gone.have(uint64(i) + 1) {
			left = append(left, text)
		}
	}
	require.NoError(t, f.write(t.Context(), func(l *ledger) error {
		l.forget(gone)
		return nil
	}))
	require.Equal(t, left, contents(t, f))
	require.NoError(t, f.read(t.Context(), func(l *ledger) error {
		for n := range all {
			data := l.get(uint64(n) + 1)
			require.Equal(t, gone.have(uint64(n)+1), data == nil)
		}
		return nil
	}))
}

// A bundle that lies about its messages is damage, and not more.
func TestLyingBundle(t *testing.T) {
	for what, b := range map[string]bundle{
		"a size beyond the end": {span{1, 1}, []byte{255, 255, 255, 255, 1}},
		"half a size":           {span{1, 1}, []byte{0, 0}},
		"one message too few":   {span{1, 2}, []byte{0, 0, 0, 0}},
		"no number":             {span{0, 1}, []byte{0, 0, 0, 0, 0, 0, 0, 0}},
		"a number too large":    {span{1, maxNumber + 1}, []byte{0, 0, 0, 0}},
		"no order":              {span{2, 1}, []byte{0, 0, 0, 0}},
	} {
		t.Run(what, func(t *testing.T) {
			boxes := t.TempDir()
			newBox(t, boxes, "b", false)
			f := useFile(t, boxes, "b", false)
			require.NoError(t, f.write(t.Context(), func(l *ledger) error {
				l.put(b)
				return nil
			}))
			require.ErrorIs(t, f.read(t.Context(), func(l *ledger) error {
				l.count(nil)
				return nil
			}), errDamaged)
			require.NoError(t, f.write(t.Context(), add("after")))
			require.Equal(t, []string{"after"}, contents(t, f))
		})
	}
}
