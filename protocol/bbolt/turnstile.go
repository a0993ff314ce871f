package bbolt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/ipcmgr/ipcmgr/internal/bell"
	"github.com/ipcmgr/ipcmgr/internal/filelock"
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
// Who finds lock free while nobody waits takes it without want.
//
// The one that waits for lock says so in a word, which the holder reads after
// each operation. If the holder rests then, which is in a word as well, its own
// bell is rung, and the lock file says whose that is. Each of the two writes its
// word before it reads the other's, so one of them sees the other.
type turnstile struct {
	boxes     string      // the directory of all mailboxes
	box       string      // the mailbox's
	signature []byte      // what the lock file is to say
	identity  os.FileInfo // of the lock file: which mailbox under this name it is
	marks     *marks
}

// openTurnstile does not take the locks. name is that of the mailbox whose bell
// calls this holder, or "" for one that never keeps the file. errReplaced if
// there is no mailbox.
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
	signature := append([]byte{byte(len(name))}, name...)
	return &turnstile{boxes: boxes, box: box, signature: signature, identity: identity, marks: marks}, nil
}

// orReplaced takes a file that is missing for a mailbox that is, and so
// something that is no directory in the mailbox's place.
func orReplaced(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return errReplaced
	}
	return err
}

// enter waits for the file until ctx or life ends. errReplaced if it is not that
// of the mailbox that was opened.
func (t *turnstile) enter(ctx, life context.Context) (*filelock.Hold, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	path := filepath.Join(t.box, lockName)
	if !t.wanted() {
		hold, free, err := filelock.TryLock(path)
		if free || err != nil {
			return t.sign(hold, err)
		}
	}
	ctx, stop := either(ctx, life)
	defer stop()
	want, err := filelock.Lock(ctx, filepath.Join(t.box, wantName))
	if err != nil {
		return nil, orReplaced(err)
	}
	defer want.Unlock()
	t.marks.Store(wanted, 1)
	defer t.marks.Store(wanted, 0)
	if err := t.call(); err != nil {
		return nil, orReplaced(err)
	}
	return t.sign(filelock.Lock(ctx, path))
}

// either ends when one of two contexts does.
func either(ctx, life context.Context) (_ context.Context, stop func()) {
	if ctx.Done() == nil {
		return life, func() {}
	}
	both, cancel := context.WithCancelCause(ctx)
	unhook := context.AfterFunc(life, func() { cancel(context.Cause(life)) })
	return both, func() {
		unhook()
		cancel(nil)
	}
}

// wanted says whether somebody waits for the file.
func (t *turnstile) wanted() bool { return t.marks.Load(wanted) != 0 }

// sign takes what came of a lock, and writes down whom to call. The room for it
// was taken when the mailbox was made, so a full disk does not matter.
func (t *turnstile) sign(hold *filelock.Hold, err error) (*filelock.Hold, error) {
	if err != nil {
		return nil, orReplaced(err)
	}
	info, err := hold.File().Stat()
	if err == nil && !os.SameFile(info, t.identity) {
		err = errReplaced
	}
	if err == nil {
		err = t.marks.current()
	}
	if err == nil {
		_, err = hold.File().WriteAt(t.signature, 0)
	}
	if err != nil {
		hold.Unlock()
		return nil, err
	}
	return hold, nil
}

// call rings the bell of a holder that rests. That there is none is no error: its
// client is gone, and the lock with it.
func (t *turnstile) call() error {
	if t.marks.Load(resting) == 0 {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(t.box, lockName), os.O_RDONLY|safely, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var b [1 + maxName]byte
	n, err := f.ReadAt(b[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if n == 0 || n < 1+int(b[0]) {
		return nil
	}
	name := string(b[1 : 1+b[0]])
	if !filepath.IsLocal(name) || name != filepath.Base(name) {
		return nil
	}
	rope, err := bell.OpenRope(filepath.Join(t.boxes, name, callName))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(rope.Ring(), rope.Close())
}
