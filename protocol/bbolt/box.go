package bbolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ipcmgr/ipcmgr/internal/bell"
	"github.com/ipcmgr/ipcmgr/internal/gate"
)

// locks are the lock files, with the room in bytes for what their holders write.
var locks = map[string]int{wantName: 0, lockName: 1 + maxName}

// makeBox makes the directory of an empty mailbox in the place of what may be
// there. It is built below tmp, so it appears whole or not at all.
func makeBox(box, tmp string, durable bool) error {
	if err := removeBox(box, tmp); err != nil {
		return err
	}
	build, err := makeTemp(tmp)
	if err != nil {
		return err
	}
	if err = fillBox(build, durable); err == nil {
		err = os.Rename(build, box)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(build))
	}
	if durable {
		return syncDir(filepath.Dir(box))
	}
	return nil
}

// makeTemp makes a directory of mode 0700 under any umask.
func makeTemp(tmp string) (string, error) {
	dir, err := os.MkdirTemp(tmp, "box-*")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o700)
}

func fillBox(box string, durable bool) error {
	return errors.Join(
		gate.Make(box),
		bell.Make(filepath.Join(box, callName)),
		makeMarks(box),
		makeLock(filepath.Join(box, wantName), locks[wantName]),
		makeLock(filepath.Join(box, lockName), locks[lockName]),
		createDB(box, durable, 0),
	)
}

// makeLock makes a lock file with room for what its holder writes.
func makeLock(path string, room int) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|safely, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, room))
	return errors.Join(err, f.Chmod(0o600), f.Close())
}

// mendBox makes a mailbox usable that somebody has left. What is as it should be
// is not touched: others may be using it. It says whether the words were lost,
// and matches fs.ErrNotExist if there is no mailbox.
func mendBox(box string) (lost bool, err error) {
	if _, err := os.Lstat(box); err != nil {
		return false, err
	}
	for name, room := range locks {
		path := filepath.Join(box, name)
		info, err := os.Lstat(path)
		if err == nil && info.Mode().IsRegular() {
			continue
		}
		if err == nil {
			err = fmt.Errorf("%s is %v: %w", path, info.Mode(), fs.ErrInvalid)
		}
		if err := remake(path, err, func() error { return makeLock(path, room) }); err != nil {
			return false, err
		}
	}
	call := filepath.Join(box, callName)
	if b, err := bell.Open(call); err == nil {
		b.Close()
	} else if err := remake(call, err, func() error { return bell.Make(call) }); err != nil {
		return false, err
	}
	if w, err := openMarks(box); err == nil {
		w.Close()
	} else if err := remake(filepath.Join(box, marksName), err, func() error { return makeMarks(box) }); err != nil {
		return false, err
	} else {
		lost = true
	}
	return lost, gate.Make(box)
}

// remake makes a thing in the place of what may be there, if that is missing or
// something else. Any other reason not to be able to open it may pass, and
// others may be using it.
func remake(path string, why error, do func() error) error {
	if !errors.Is(why, fs.ErrNotExist) && !errors.Is(why, fs.ErrInvalid) {
		return why
	}
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	return do()
}

// removeBox takes a mailbox away at once, and then removes it.
func removeBox(box, tmp string) error {
	grave, err := makeTemp(tmp)
	if err != nil {
		return err
	}
	err = os.Rename(box, filepath.Join(grave, "box"))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, os.RemoveAll(grave))
}
