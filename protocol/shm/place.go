//go:build linux && !ipcmgr_fallback

package shm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/ipcmgr/ipcmgr/internal/roster"
)

// memory is where every system with tmpfs has it mounted.
const memory = "/dev/shm"

var kind = &roster.Kind{Protocol: Name, Check: checkRoute, Memory: memory}

// viable says what is missing here: a store needs one place in memory at least.
func viable() error {
	err := inMemory(memory)
	if err == nil {
		return nil
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) && inMemory(dir) == nil {
		return nil
	}
	return fmt.Errorf("%s: no file system in memory was found, mount tmpfs at %s: %w", Name, memory, err)
}

// checkRoute refuses a route on a disk: what is mapped from there is written to
// it again and again, and a write that fails ends the process.
func checkRoute(route string) error {
	err := inMemory(route)
	if errors.Is(err, fs.ErrNotExist) { // to be made, then
		err = inMemory(filepath.Dir(filepath.Clean(route)))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil // which the roster says better
	}
	return err
}

func inMemory(dir string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	if uint32(st.Type) != unix.TMPFS_MAGIC {
		return fmt.Errorf("%s is not on tmpfs: choose a route below %s: %w", dir, memory, errors.ErrUnsupported)
	}
	return nil
}
