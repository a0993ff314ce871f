package filelock

import (
	"math"
	"os"

	"golang.org/x/sys/windows"
)

const safely = 0

const (
	exclusive = windows.LOCKFILE_EXCLUSIVE_LOCK
	shared    = 0
)

// place is the one byte that is locked: Windows keeps others from reading what
// is locked, so it lies where no content is.
func place() *windows.Overlapped { return &windows.Overlapped{OffsetHigh: math.MaxInt32} }

// flock takes a lock and says whether it got it; with wait, it does.
func flock(f *os.File, how uint32, wait bool) (bool, error) {
	if !wait {
		how |= windows.LOCKFILE_FAIL_IMMEDIATELY
	}
	err := windows.LockFileEx(windows.Handle(f.Fd()), how, 0, 1, 0, place())
	if err == windows.ERROR_LOCK_VIOLATION {
		return false, nil
	}
	return err == nil, err
}

func unlock(f *os.File) error {
	return windows.UnlockFileEx(windows.Handle(f.Fd()), 0, 1, 0, place())
}
