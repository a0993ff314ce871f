//go:build linux && !ipcmgr_fallback

package shm

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"math/bits"
	"os"
	"path/filepath"

	"github.com/ipcmgr/ipcmgr/internal/step"
	"github.com/ipcmgr/ipcmgr/internal/words"
)

const marksFile = "marks"

// The words of a mailbox's marks. A slot is a bit, for all rings of the senders
// whose keys have that hash, so a reader finds what is new among any number of
// rings by a look at one word.
const (
	wordMade    = 0  // how many rings were made
	wordSummary = 8  // a bit for each word of slots that has one set
	wordSlots   = 16 // and 63 more
	markWords   = wordSlots + 64
)

// slot is a bit of the marks.
type slot uint16

func slotOf(key string) slot {
	h := fnv.New32a()
	h.Write([]byte(key))
	return slot(h.Sum32() % (64 * 64))
}

// marks tell a reader which rings to look at.
type marks struct{ *words.Words }

// makeMarks puts marks into the mailbox's directory, unless there are some, and
// says whether there were.
func makeMarks(box string) (stood bool, err error) {
	m, err := openMarks(box)
	if err == nil {
		return true, m.Close()
	}
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrInvalid) {
		return false, err
	}
	path := filepath.Join(box, marksFile)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	return false, words.Create(path, markWords)
}

func openMarks(box string) (marks, error) {
	path := filepath.Join(box, marksFile)
	w, err := words.Open(path)
	if err != nil {
		return marks{}, err
	}
	if w.Len() != markWords {
		w.Close()
		return marks{}, fmt.Errorf("%s has %d words, not %d: %w", path, w.Len(), markWords, fs.ErrInvalid)
	}
	return marks{w}, nil
}

// set marks a slot, after its ring's tail was moved. A mark that is set already
// is one that the reader will clear before it looks at the tail.
func (m marks) set(s slot) {
	word, bit := int(s/64), uint64(1)<<(s%64)
	if m.Load(wordSlots+word)&bit == 0 {
		m.Or(wordSlots+word, bit)
		step.Here("slot marked")
	}
	if sum := uint64(1) << word; m.Load(wordSummary)&sum == 0 {
		m.Or(wordSummary, sum)
	}
}

// take calls visit for each slot that is marked, and clears the marks before.
func (m marks) take(visit func(slot)) {
	if m.Load(wordSummary) == 0 {
		return
	}
	for sum := m.Swap(wordSummary, 0); sum != 0; sum &= sum - 1 {
		word := bits.TrailingZeros64(sum)
		for set := m.Swap(wordSlots+word, 0); set != 0; set &= set - 1 {
			visit(slot(64*word + bits.TrailingZeros64(set)))
		}
	}
}
