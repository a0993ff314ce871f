package bbolt

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ipcmgr/ipcmgr/internal/bell"
	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/internal/gate"
)

// locks are the lock files, with the room in bytes for what their holders write.
var locks = map[string]int{wantName: 0, lockName: 1 + maxName}

// site is where mailboxes are made and removed: through the seam, so that tests
// see each change of these directories.
type site struct {
	boxes, tmp disk.Dir
	durable    bool
}

func openSite(fsys disk.FS, boxes, tmp string, durable bool) (*site, error) {
	b, err := fsys.OpenDir(boxes)
	if err != nil {
		return nil, err
	}
	t, err := fsys.OpenDir(tmp)
	if err != nil {
		b.Close()
		return nil, err
	}
	return &site{b, t, durable}, nil
}

func (s *site) close() {
	s.boxes.Close()
	s.tmp.Close()
}

// make makes the directory of an empty mailbox in the place of what may be
// there. It is built below tmp, so it appears whole or not at all.
func (s *site) make(ctx context.Context, name string) error {
	if err := s.remove(ctx, name); err != nil {
		return err
	}
	build := draftName()
	if err := s.tmp.Mkdir(build); err != nil {
		return err
	}
	err := fillBox(filepath.Join(s.tmp.Path(), build), s.durable)
	if err == nil {
		err = s.tmp.Rename(build, s.boxes, name)
	}
	if err != nil {
		return errors.Join(err, disk.RemoveAll(ctx, s.tmp, build))
	}
	return s.sync()
}

// remove takes a mailbox away at once, and then removes it. A durable one is
// gone before that: or a power cut might bring a part of it back.
func (s *site) remove(ctx context.Context, name string) error {
	grave := draftName()
	err := s.boxes.Rename(name, s.tmp, grave)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = s.sync()
	}
	return errors.Join(err, disk.RemoveAll(ctx, s.tmp, grave))
}

func (s *site) sync() error {
	if !s.durable {
		return nil
	}
	return s.boxes.Sync()
}

func draftName() string { return "box-" + rand.Text() }

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
	info, err := os.Lstat(box)
	if err != nil {
		return false, err
	}
	if !info.IsDir() {
		return false, fmt.Errorf("%s is %v: %w", box, info.Mode(), fs.ErrNotExist)
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
