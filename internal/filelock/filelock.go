// Package filelock holds a lock on a file, waited for with a context. The lock
// goes with its process, however that ends, so holding one for life is a proof
// of life.
//
// The locks of one process exclude each other just as those of several do.
// They are advisory: only those who lock are kept out.
package filelock

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"time"
)

// Hold is a lock that is held.
type Hold struct {
	file *os.File
}

// Lock takes the lock on the file at path and waits for it. The file is made,
// with mode 0600, if there is none. What is locked on return is the file that
// was at path then: one that was replaced during the wait is not settled for.
//
// The kernel's wait cannot be called off. When ctx ends, Lock returns
// context.Cause(ctx) at once and leaves the wait to the next caller; if there
// is none, one goroutine per path stays until the lock is free, and frees it
// again.
func Lock(ctx context.Context, path string) (*Hold, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	h, ok, err := TryLock(path)
	if err != nil || ok {
		return h, err
	}
	return wait(ctx, path)
}

// TryLock takes the lock if it is free, and says whether it was. It does not
// wait for a holder. The file is made, with mode 0600, if there is none.
func TryLock(path string) (*Hold, bool, error) {
	for {
		f, err := open(path)
		if err != nil {
			return nil, false, err
		}
		ok, err := try(f)
		if err != nil || !ok {
			f.Close()
			return nil, false, wrap(path, err)
		}
		if current(f, path) {
			return &Hold{file: f}, true, nil
		}
		_ = release(f)
	}
}

// Held says whether somebody holds the lock on the file at path. The error
// matches fs.ErrNotExist if there is no file, and fs.ErrInvalid if what is there
// is none.
func Held(path string) (bool, error) {
	f, err := openRead(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	free, err := flock(f, shared, false)
	if free {
		_ = unlock(f) // closing it is enough, but for a child being started
	}
	return !free && err == nil, wrap(path, err)
}

// Unlock gives the lock back and closes its file, which stays. It is called
// once.
func (h *Hold) Unlock() error { return release(h.file) }

// File is the locked file, open for reading and writing: a place for what the
// holder has to say about itself. Unlock closes it, and nobody else does.
func (h *Hold) File() *os.File { return h.file }

// Exclusive runs do while it holds the lock on a file that is open already. It
// waits without a context: it is for locks that are held for microseconds. One
// descriptor locks out others, but not itself.
func Exclusive(f *os.File, do func() error) error {
	if _, err := flock(f, exclusive, true); err != nil {
		return wrap(f.Name(), err)
	}
	err := do()
	return errors.Join(err, wrap(f.Name(), unlock(f)))
}

// lookers is how long those who look, as Held does, may be in the way. They
// hold a shared lock for microseconds, but one may lose its processor then, or
// be stopped. Of the time between two tries no more than glance counts: in a
// longer one this process was stopped itself, and they perhaps with it.
const (
	lookers = time.Second
	glance  = lookers / 100
)

// try takes the lock without waiting for a holder. Where a shared lock can be
// had there is none, only others who look: they do not count.
func try(f *os.File) (bool, error) {
	var waited time.Duration
	for last := time.Now(); ; {
		if ok, err := flock(f, exclusive, false); ok || err != nil {
			return ok, err
		}
		looking, err := flock(f, shared, false)
		if !looking || err != nil {
			return false, err
		}
		if err := unlock(f); err != nil {
			return false, err
		}
		runtime.Gosched()
		now := time.Now()
		if waited += min(now.Sub(last), glance); waited > lookers {
			return false, nil
		}
		last = now
	}
}

// current says whether f is what is at path now. A lock on a file that is no
// longer there keeps nobody out.
func current(f *os.File, path string) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(path)
	return err == nil && os.SameFile(mine, there)
}

// release unlocks before it closes. Closing is not enough: a child that is
// being forked at this moment has a copy of the descriptor until its exec, and
// with it the lock.
func release(f *os.File) error {
	return errors.Join(unlock(f), f.Close())
}

// open opens the file at path for locking and makes it if there is none.
func open(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|safely, 0)
		if err == nil {
			return regular(f)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("lock: %w", err)
		}
		f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|safely, 0o600)
		if err == nil {
			// The umask may have taken away what the next one needs.
			if err := f.Chmod(0o600); err != nil {
				f.Close()
				return nil, fmt.Errorf("lock: %w", err)
			}
			return f, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("lock: %w", err)
		}
	}
}

func openRead(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|safely, 0)
	if err != nil {
		// What a symbolic link gives differs from system to system.
		if info, statErr := os.Lstat(path); statErr == nil && !info.Mode().IsRegular() {
			err = fmt.Errorf("%w: %w", err, fs.ErrInvalid)
		}
		return nil, fmt.Errorf("lock: %w", err)
	}
	return regular(f)
}

func regular(f *os.File) (*os.File, error) {
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file: %w", f.Name(), fs.ErrInvalid)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock: %w", err)
	}
	return f, nil
}

func wrap(path string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("lock %s: %w", path, err)
}
