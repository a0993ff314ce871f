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

// The words that go with a mailbox's file. All but wanted are written under the
// file's lock or by the mailbox's holder; messages are known by their sequence
// numbers, which start at 1.
const (
	wanted  = iota // 1: somebody waits for the file
	tail           // the last message that is, or is about to be, in the file
	handed         // the last message that the present holder may have handed out
	doubted        // the last message that a holder that crashed may have handed out
	markWords
)

func makeMarks(box string) error {
	return words.Create(filepath.Join(box, marksName), markWords)
}

// openMarks opens the words; the error matches fs.ErrNotExist if there are
// none, fs.ErrInvalid if there is something else.
func openMarks(box string) (*words.Words, error) {
	path := filepath.Join(box, marksName)
	w, err := words.Open(path)
	if err != nil {
		return nil, err
	}
	if w.Len() != markWords {
		w.Close()
		return nil, fmt.Errorf("words %s: %d of them, not %d: %w", path, w.Len(), markWords, fs.ErrInvalid)
	}
	return w, nil
}

// syncMarks puts the words on disk. It works on a descriptor of its own: what
// is synced is the file, however its words are mapped.
func syncMarks(box string) error {
	f, err := os.OpenFile(filepath.Join(box, marksName), os.O_RDWR|safely, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
