//go:build !unix || ipcmgr_fallback

package words

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync"

	"github.com/ipcmgr/ipcmgr/internal/filelock"
)

// Words are the words of one file, read and written under its lock. A file
// that can no longer be read or written is a panic, as it is a fault where the
// file is mapped.
type Words struct {
	n    int
	mu   sync.Mutex // the file's lock does not exclude users of one descriptor
	file *os.File
}

// Open opens the file at path. The error matches fs.ErrNotExist if there is
// none, fs.ErrInvalid if it does not hold words.
func Open(path string) (*Words, error) {
	f, n, err := open(path)
	if err != nil {
		return nil, err
	}
	return &Words{n: n, file: f}, nil
}

// Len is how many words there are.
func (w *Words) Len() int { return w.n }

// Load reads word i.
func (w *Words) Load(i int) (v uint64) {
	w.change(i, func(old uint64) (uint64, bool) { v = old; return 0, false })
	return v
}

// Store writes word i.
func (w *Words) Store(i int, v uint64) {
	w.change(i, func(uint64) (uint64, bool) { return v, true })
}

// Add adds delta to word i, which wraps around, and returns the sum.
func (w *Words) Add(i int, delta int64) (sum uint64) {
	w.change(i, func(old uint64) (uint64, bool) { sum = old + uint64(delta); return sum, true })
	return sum
}

// CompareAndSwap writes new to word i if it is old, and says whether it was.
func (w *Words) CompareAndSwap(i int, old, new uint64) (swapped bool) {
	w.change(i, func(v uint64) (uint64, bool) { swapped = v == old; return new, swapped })
	return swapped
}

// Or sets the bits of mask in word i.
func (w *Words) Or(i int, mask uint64) {
	w.change(i, func(old uint64) (uint64, bool) { return old | mask, true })
}

// Swap writes word i and returns what it was.
func (w *Words) Swap(i int, v uint64) (old uint64) {
	w.change(i, func(was uint64) (uint64, bool) { old = was; return v, true })
	return old
}

// Close closes the file. The caller sees to it that no method is under way or
// called later; a second Close is harmless.
func (w *Words) Close() error {
	f := w.file
	w.file = nil
	if f == nil {
		return nil
	}
	return f.Close()
}

// change reads word i and writes what f makes of it, if f wants that.
func (w *Words) change(i int, f func(old uint64) (uint64, bool)) {
	if i < 0 || i >= w.n {
		panic(fmt.Sprintf("words: word %d of %d", i, w.n))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	err := filelock.Exclusive(w.file, func() error {
		var b [8]byte
		if _, err := w.file.ReadAt(b[:], int64(8*i)); err != nil {
			return err
		}
		v, write := f(binary.NativeEndian.Uint64(b[:]))
		if !write {
			return nil
		}
		binary.NativeEndian.PutUint64(b[:], v)
		_, err := w.file.WriteAt(b[:], int64(8*i))
		return err
	})
	if err != nil {
		panic("words: " + err.Error())
	}
}
