// Package diskfault is a disk.FS for tests: it records every call and lets a
// hook make any of them fail.
package diskfault

import (
	"errors"
	"slices"
	"sync"

	"github.com/ipcmgr/ipcmgr/internal/disk"
)

// The calls, as a hook and a record name them. Those of a directory itself end
// in Dir, to tell them from those of a file.
const (
	OpenDir  = "opendir"
	Create   = "create"
	Append   = "append"
	Open     = "open"
	Rename   = "rename"
	Remove   = "remove"
	Mkdir    = "mkdir"
	Rmdir    = "rmdir"
	Sub      = "sub"
	Names    = "names"
	Stat     = "stat"
	SyncDir  = "syncdir"
	CloseDir = "closedir"
	Read     = "read"
	ReadAt   = "readat"
	Write    = "write"
	StatFile = "statfile"
	Sync     = "sync"
	Close    = "close"
)

// Hook is asked before each call, with the path that it is about. An error is
// the call's result, and the call is not made (a Close is made all the same, so
// that nothing leaks). An error of type *ShortWrite lets a Write do a part. It
// may be called concurrently. ErrSkip lets a Sync succeed that is not made.
type Hook func(op, path string) error

// ErrSkip is for tests that make many stores and cut no power: disks are slow.
var ErrSkip = errors.New("not made")

// ShortWrite makes a Write put down only N bytes and return Err.
type ShortWrite struct {
	N   int
	Err error
}

func (s *ShortWrite) Error() string { return "short write: " + s.Err.Error() }
func (s *ShortWrite) Unwrap() error { return s.Err }

// Nth is a Hook that fails the nth call of op, counted from 1, and no other.
func Nth(n int, op string, err error) Hook {
	var mu sync.Mutex
	count := 0
	return func(called, _ string) error {
		if called != op {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		count++
		if count == n {
			return err
		}
		return nil
	}
}

// Call is one call on record. One that failed is, too.
type Call struct {
	Op   string
	Path string
	To   string // of a Rename: the new path
}

// FS is a disk.FS over another one.
type FS struct {
	under disk.FS

	mu    sync.Mutex
	hook  Hook
	calls []Call
}

// New makes one over under. A nil hook lets all calls pass.
func New(under disk.FS, hook Hook) *FS { return &FS{under: under, hook: hook} }

// SetHook replaces the hook, for calls that begin from now on.
func (f *FS) SetHook(hook Hook) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hook = hook
}

// Calls is the record, in the order in which the calls began.
func (f *FS) Calls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// Forget empties the record.
func (f *FS) Forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = nil
}

// OpenDir implements disk.FS.
func (f *FS) OpenDir(path string) (disk.Dir, error) {
	if err := f.ask(Call{Op: OpenDir, Path: path}); err != nil {
		return nil, err
	}
	d, err := f.under.OpenDir(path)
	if err != nil {
		return nil, err
	}
	return &dir{Dir: d, fs: f}, nil
}

// ask records a call and asks the hook about it. The hook runs without the
// lock: it may call back.
func (f *FS) ask(c Call) error {
	f.mu.Lock()
	f.calls = append(f.calls, c)
	hook := f.hook
	f.mu.Unlock()
	if hook == nil {
		return nil
	}
	return hook(c.Op, c.Path)
}
