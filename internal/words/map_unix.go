//go:build unix && !ipcmgr_fallback

package words

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Words are the words of one file, mapped. A file that is made shorter while
// it is mapped ends the process at the next use: it is never done here, and
// only the same user could.
type Words struct {
	mapped []byte
	words  []uint64
}

// Open maps the file at path. The error matches fs.ErrNotExist if there is
// none, fs.ErrInvalid if it does not hold words.
func Open(path string) (*Words, error) {
	f, n, err := open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // the mapping stays
	mapped, err := unix.Mmap(int(f.Fd()), 0, 8*n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("words %s: map: %w", path, err)
	}
	// A mapping begins at a page, so the words are aligned.
	words := unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(mapped))), n)
	return &Words{mapped: mapped, words: words}, nil
}

// Len is how many words there are.
func (w *Words) Len() int { return len(w.words) }

// Load reads word i.
func (w *Words) Load(i int) uint64 { return atomic.LoadUint64(&w.words[i]) }

// Store writes word i.
func (w *Words) Store(i int, v uint64) { atomic.StoreUint64(&w.words[i], v) }

// Add adds delta to word i, which wraps around, and returns the sum.
func (w *Words) Add(i int, delta int64) uint64 {
	return atomic.AddUint64(&w.words[i], uint64(delta))
}

// CompareAndSwap writes new to word i if it is old, and says whether it was.
func (w *Words) CompareAndSwap(i int, old, new uint64) bool {
	return atomic.CompareAndSwapUint64(&w.words[i], old, new)
}

// Or sets the bits of mask in word i.
func (w *Words) Or(i int, mask uint64) { atomic.OrUint64(&w.words[i], mask) }

// Swap writes word i and returns what it was.
func (w *Words) Swap(i int, v uint64) (old uint64) { return atomic.SwapUint64(&w.words[i], v) }

// Close unmaps the file. The caller sees to it that no method is under way or
// called later; a second Close is harmless.
func (w *Words) Close() error {
	mapped := w.mapped
	w.mapped, w.words = nil, nil
	if mapped == nil {
		return nil
	}
	return unix.Munmap(mapped)
}
