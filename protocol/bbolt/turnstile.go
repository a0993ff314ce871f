package bbolt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/ipcmgr/ipcmgr/internal/bell"
	"github.com/ipcmgr/ipcmgr/internal/filelock"
	"github.com/ipcmgr/ipcmgr/internal/words"
)

// The files of a mailbox's directory that make its turnstile, and the bell that
// its client is called by.
const (
	wantName = "want"
	lockName = "lock"
	callName = "call"
)

// maxName is the longest name of a holder that fits its length byte.
const maxName = 255

// errReplaced is that of a mailbox whose directory is no longer the one that
// was opened.
var errReplaced = errors.New("the mailbox was removed")

// turnstile lets one process at a time at a mailbox's file. Two locks make it
// fair: who wants the file takes want, waits for lock, and only then lets the
// next one have want. So at most one waits for lock, and all others queue
// behind it.
//
// The one that waits for lock says so in a word, which the holder reads after
// each operation, and rings the holder's own bell in case it is idle. The lock
// file says whose bell that is. It was written by one who held want as well,
// so who holds want now reads nothing stale.
type turnstile struct {
	boxes    string      // the directory of all mailboxes
	box      string      // the mailbox's
	name     string      // of the mailbox whose bell calls this holder; "" for one that never keeps the file
	identity os.FileInfo // of the lock file: which mailbox under this name it is
	marks    *words.Words
}

// openTurnstile does not take the locks. errReplaced if there is no mailbox.
func openTurnstile(boxes, box, name string) (*turnstile, error) {
	if len(name) > maxName {
		return nil, fmt.Errorf("the name %q is longer than %d bytes: %w", name, maxName, fs.ErrInvalid)
	}
	identity, err := os.Lstat(filepath.Join(box, lockName))
	if err != nil {
		return nil, orReplaced(err)
	}
	marks, err := openMarks(box)
	if err != nil {
		return nil, orReplaced(err)
	}
	return &turnstile{boxes: boxes, box: box, name: name, identity: identity, marks: marks}, nil
}

// orReplaced takes a file that is missing for a mailbox that is, and so
// something that is no directory in the mailbox's place.
func orReplaced(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return errReplaced
	}
	return err
}

// enter waits for the file. errReplaced if it is not that of the mailbox that
// was opened.
func (t *turnstile) enter(ctx context.Context) (*filelock.Hold, error) {
	want, err := filelock.Lock(ctx, filepath.Join(t.box, wantName))
	if err != nil {
		return nil, orReplaced(err)
	}
	defer want.Unlock()
	path := filepath.Join(t.box, lockName)
	hold, free, err := filelock.TryLock(path)
	if err == nil && !free {
		t.marks.Store(wanted, 1)
		t.call()
		hold, err = filelock.Lock(ctx, path)
	}
	if err != nil {
		return nil, orReplaced(err)
	}
	if err := t.sign(hold.File()); err != nil {
		hold.Unlock()
		return nil, err
	}
	t.marks.Store(wanted, 0)
	return hold, nil
}

// wanted says whether somebody waits for the file.
func (t *turnstile) wanted() bool { return t.marks.Load(wanted) != 0 }

// sign writes down whom to call. The room for it was taken when the mailbox was
// made, so a full disk does not matter.
func (t *turnstile) sign(lock *os.File) error {
	info, err := lock.Stat()
	if err != nil {
		return err
	}
	if !os.SameFile(info, t.identity) {
		return errReplaced
	}
	_, err = lock.WriteAt(append([]byte{byte(len(t.name))}, t.name...), 0)
	return err
}

// call rings the holder's bell. If that cannot be rung, its client is gone, and
// the lock with it.
func (t *turnstile) call() {
	f, err := os.OpenFile(filepath.Join(t.box, lockName), os.O_RDONLY|safely, 0)
	if err != nil {
		return
	}
	defer f.Close()
	var b [1 + maxName]byte
	n, _ := f.ReadAt(b[:], 0)
	if n == 0 || n < 1+int(b[0]) {
		return
	}
	name := string(b[1 : 1+b[0]])
	if !filepath.IsLocal(name) || name != filepath.Base(name) {
		return
	}
	rope, err := bell.OpenRope(filepath.Join(t.boxes, name, callName))
	if err != nil {
		return
	}
	defer rope.Close()
	_ = rope.Ring() // the holder may be gone
}
