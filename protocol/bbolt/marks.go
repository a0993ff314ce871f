package bbolt

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ipcmgr/ipcmgr/internal/words"
)

// marksName is the file of a mailbox's words.
const marksName = "marks"

// The words that go with a mailbox's file. Messages are known by their numbers,
// which start at 1. Resting and tail are written by who holds the file, and those
// after them by the mailbox's holder.
const (
	wanted       = iota // 1: somebody waits for the file
	resting             // 1: who holds the file has nothing to do at the moment
	tail                // the last message that is, or is about to be, in the file
	handed              // the last message that the present holder may have handed out
	doubted             // the last message that a holder that crashed may have handed out
	receipts            // how many receipts there are
	firstReceipt        // and the others after it
)

const (
	markWords   = 512 // a page
	maxReceipts = markWords - firstReceipt
)

// marks are the words of a mailbox.
type marks struct {
	*words.Words
	path     string
	identity os.FileInfo
}

func makeMarks(box string) error {
	return words.Create(filepath.Join(box, marksName), markWords)
}

// openMarks opens the words; the error matches fs.ErrNotExist if there are
// none, fs.ErrInvalid if there is something else.
func openMarks(box string) (*marks, error) {
	path := filepath.Join(box, marksName)
	identity, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	w, err := words.Open(path)
	if err != nil {
		return nil, err
	}
	if w.Len() != markWords {
		w.Close()
		return nil, fmt.Errorf("words %s: %d of them, not %d: %w", path, w.Len(), markWords, fs.ErrInvalid)
	}
	return &marks{w, path, identity}, nil
}

// current returns errReplaced if the words were lost, and others have new ones.
func (m *marks) current() error {
	info, err := os.Lstat(m.path)
	if err == nil && !os.SameFile(info, m.identity) {
		return errReplaced
	}
	return orReplaced(err)
}

// sync puts the words on disk.
func (m *marks) sync() error { return syncData(m.path) }
