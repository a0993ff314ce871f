package bbolt

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/stretchr/testify/require"
)

// sees says whether what is read is what may be written. What finds damage
// panics with a text that says so; any other panic is a mistake.
func sees(read func()) (fit bool) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(string); !ok {
				panic(r)
			}
		}
	}()
	read()
	return true
}

// A bundle is taken for what it is or for damage; what is taken reads the same
// when it is packed again, and parted.
func FuzzBundle(f *testing.F) {
	for _, texts := range [][]string{{""}, {"a", "", "bcd"}, {"\xff\xff\xff\xff"}} {
		var frames []protocol.Frame
		for _, text := range texts {
			frames = append(frames, protocol.Frame{Data: []byte(text)})
		}
		f.Add(pack(frames).bundles[0].data, uint8(len(texts)))
	}
	f.Add([]byte{255, 255, 255, 255, 1}, uint8(1))
	f.Add([]byte{0, 0, 0}, uint8(2))
	f.Fuzz(func(t *testing.T, data []byte, count uint8) {
		b := bundle{span{1, uint64(count)}, data}
		var frames []protocol.Frame
		if !sees(func() {
			b.from(1, func(n uint64, frame []byte) bool {
				require.EqualValues(t, len(frames)+1, n)
				frames = append(frames, protocol.Frame{Data: frame})
				return true
			})
		}) {
			return
		}
		require.Len(t, frames, int(count))
		var again []byte
		for _, b := range pack(frames).bundles {
			again = append(again, b.data...)
		}
		require.True(t, bytes.HasPrefix(data, again))
		even := spans{}
		for n := uint64(2); n <= uint64(count); n += 2 {
			even = append(even, span{n, n})
		}
		for _, left := range b.without(even) {
			left.from(1, func(n uint64, frame []byte) bool {
				require.Equal(t, frames[n-1].Data, frame)
				require.False(t, even.have(n))
				return true
			})
		}
	})
}

// Whatever key and value stand in the file, reading finds messages or damage.
func FuzzFile(f *testing.F) {
	box := f.TempDir()
	require.NoError(f, createDB(box, false, 10))
	db, err := openDB(filepath.Join(box, messagesName), false)
	require.NoError(f, err)
	f.Cleanup(func() { require.NoError(f, db.Close()) })
	key := func(first, last uint64) []byte {
		return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, first), last)
	}
	number := key(0, 3)[8:]
	f.Add(key(3, 4), []byte{0, 0, 0, 1, 'a', 0, 0, 0, 0}, number)
	f.Add(key(4, 3), []byte{0, 0, 0, 0}, number)
	f.Add(key(0, 1<<63), []byte{}, number)
	f.Add([]byte("key"), []byte("value"), []byte("text"))
	f.Fuzz(func(t *testing.T, k, v, put []byte) {
		tx, err := db.Begin(true)
		require.NoError(t, err)
		defer func() { require.NoError(t, tx.Rollback()) }()
		var l ledger
		require.NoError(t, l.open(tx))
		if l.messages.Put(k, v) != nil || l.back().Put([]byte("0"), put) != nil {
			return // bolt takes no such key
		}
		messages, bytes := 0, 0
		if !sees(func() { messages, bytes = l.count(nil) }) {
			return
		}
		s := readKey(k)
		require.EqualValues(t, s.last-s.first+1, messages)
		require.LessOrEqual(t, bytes+sizeBytes*messages, len(v))
		require.Equal(t, k, l.key(s))
		for n := s.first; n <= s.last; n++ {
			require.NotNil(t, l.get(n))
		}
		sees(func() {
			for _, n := range l.line(nil) {
				require.Equal(t, put, binary.BigEndian.AppendUint64(nil, n))
			}
		})
	})
}

// Whatever the words say, receipts can be read and written, and what was
// acknowledged now is acknowledged.
func FuzzMarks(f *testing.F) {
	m := newMarks(f)
	f.Add([]byte{}, uint64(1))
	f.Add(binary.BigEndian.AppendUint64(nil, span{7, 9}.receipt()), uint64(10))
	f.Add(bytes.Repeat([]byte{255}, 8*markWords), uint64(maxNumber))
	f.Fuzz(func(t *testing.T, data []byte, n uint64) {
		for i := range markWords {
			var word [8]byte
			copy(word[:], data[min(8*i, len(data)):])
			w := binary.BigEndian.Uint64(word[:])
			m.Store((firstReceipt+i)%markWords, w)
			require.Equal(t, w, readReceipt(w).receipt())
		}
		n = n%maxNumber + 1
		require.GreaterOrEqual(t, m.given(n), n)
		before := slices.Clone(m.acknowledged())
		undo, ok := m.acknowledge([]uint64{n})
		if !ok {
			require.Equal(t, before, m.acknowledged())
			return
		}
		after := m.acknowledged()
		require.True(t, after.have(n))
		for i, s := range after {
			require.LessOrEqual(t, s.first, s.last)
			require.True(t, i == 0 || after[i-1].last+1 < s.first)
		}
		undo()
		require.Equal(t, before, m.acknowledged())
	})
}

// Whatever a page says, what it refers to is read from it or it is damage.
func FuzzPage(f *testing.F) {
	box := f.TempDir()
	require.NoError(f, createDB(box, false, 10))
	file, err := os.ReadFile(filepath.Join(box, messagesName))
	require.NoError(f, err)
	for p := range slices.Chunk(file, pageSize) {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p := page(append(slices.Clone(data), make([]byte, max(0, pageSize-len(data)))...))
		to, err := p.references(nil)
		if err != nil {
			require.ErrorIs(t, err, errDamaged)
		}
		require.LessOrEqual(t, len(to), p.count())
	})
}
