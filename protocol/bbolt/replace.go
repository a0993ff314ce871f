package bbolt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"

	"github.com/ipcmgr/ipcmgr/internal/corrupt"
	"github.com/ipcmgr/ipcmgr/internal/disk"
	bolt "go.etcd.io/bbolt"
)

// swell is the size in bytes beyond which a file that has become empty is
// replaced: bolt never gives space back, and writes its list of free pages with
// each commit.
const swell = 4 << 20

// createDB makes a file whose messages are numbered from sequence on. It is
// built under another name: it appears whole or not at all.
func createDB(box string, durable bool, sequence uint64) error {
	path := filepath.Join(box, newName)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	o := options(durable)
	o.OpenFile = func(path string, flag int, mode os.FileMode) (*os.File, error) {
		f, err := os.OpenFile(path, flag|os.O_CREATE|os.O_EXCL|safely, 0o600)
		if err == nil {
			err = f.Chmod(0o600) // whatever the umask
		}
		return f, err
	}
	db, err := bolt.Open(path, 0o600, o)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error { return newLedger(tx, sequence) })
	if err = errors.Join(err, db.Close()); err == nil {
		err = os.Rename(path, filepath.Join(box, messagesName))
	}
	if err != nil {
		os.Remove(path)
		return err
	}
	if durable {
		return syncDir(box)
	}
	return nil
}

func syncDir(path string) error {
	d, err := disk.Real.OpenDir(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// shrink puts an empty file in the place of one that has become empty, which is
// open. If that fails the old one is as good as before.
func (f *file) shrink(last uint64) {
	f.shut()
	if err := errors.Join(createDB(f.box, f.durable, last), f.open()); err != nil {
		f.notice(fmt.Errorf("the mailbox's file stays as large as it is: %w", err))
	}
}

// repair replaces a file that proved to be damaged while it was open. It returns
// the cause; another error if the file stays as it is.
func (f *file) repair(cause error) error {
	if f.db != nil {
		f.shut()
	}
	if err := f.replace(cause); err != nil {
		return fmt.Errorf("%v: it stays as it is: %w", cause, err)
	}
	if err := f.open(); err != nil {
		f.notice(err)
	}
	return cause
}

// replace sets a damaged file aside, for a person to look at, and puts an empty
// one in its place that goes on numbering where the old one was. One that cannot
// be read is left: it may be when the disk works again.
func (f *file) replace(cause error) error {
	if err := readable(filepath.Join(f.box, messagesName)); err != nil && !errors.Is(err, fs.ErrNotExist) && f.regular() {
		return err
	}
	err := f.setAside(cause)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, corrupt.ErrFull) {
		return errors.Join(cause, err)
	}
	sequence := min(f.marks.Load(tail), maxNumber/2)
	if err := createDB(f.box, f.durable, sequence); err != nil {
		return errors.Join(cause, err)
	}
	f.notice(errors.Join(fmt.Errorf("%w; it was set aside in %s and replaced by an empty one", cause, f.aside.Dir), err))
	return nil
}

// inspect replaces a file that could end the process that uses it.
func (f *file) inspect(ctx context.Context) error {
	return f.alone(ctx, func() error {
		err := f.open()
		if err == nil {
			err = f.inspectOpen()
		}
		if f.db != nil {
			f.shut()
		}
		if errors.Is(err, errDamaged) {
			err = f.replace(err)
		}
		return err
	})
}

// inspectOpen takes it for damage if bolt panics.
func (f *file) inspectOpen() (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errDamaged, r)
		}
	}()
	return sound(f.db)
}

func (f *file) regular() bool {
	info, err := os.Lstat(filepath.Join(f.box, messagesName))
	return err == nil && info.Mode().IsRegular()
}

func (f *file) setAside(cause error) error {
	box, err := disk.Real.OpenDir(f.box)
	if err != nil {
		return err
	}
	defer box.Close()
	return f.aside.Take(box, messagesName, cause)
}
