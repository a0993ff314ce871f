//go:build linux && !ipcmgr_fallback

package shm

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ipcmgr/ipcmgr/internal/roster"
)

// memory is where every system with tmpfs has it mounted.
const memory = "/dev/shm"

var kind = &roster.Kind{Protocol: Name, Check: checkRoute, Memory: memory}

// viable says what is missing here: a store without a route needs a place.
func viable() error {
	if kind.Place() == nil {
		return nil
	}
	return fmt.Errorf("no file system in memory was found: mount tmpfs at %s, or set XDG_RUNTIME_DIR or TMPDIR to a directory on one: %w",
		memory, errors.ErrUnsupported)
}

// checkRoute refuses a route on a disk: what is mapped from there is written to
// it again and again, and a write that fails ends the process. What is yet to be
// made will be where the directory is that it is made in.
func checkRoute(route string) error {
	dir := filepath.Clean(route)
	err := inMemory(dir)
	for errors.Is(err, fs.ErrNotExist) {
		dir = filepath.Dir(dir)
		err = inMemory(dir)
	}
	return err
}

func inMemory(dir string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	if uint32(st.Type) == unix.TMPFS_MAGIC {
		return nil
	}
	hint := ", as " + memory + " mostly is"
	if dir == memory || strings.HasPrefix(dir, memory+"/") {
		hint = ""
	}
	return fmt.Errorf("%s is not on tmpfs: choose a route that is%s: %w", dir, hint, errors.ErrUnsupported)
}
