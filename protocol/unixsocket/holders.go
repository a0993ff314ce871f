//go:build unix

package unixsocket

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/internal/roster"
)

// A message outlives its sender, and so does the hello before it: when it is
// read, the sender may be gone, its id taken by another process, or its record
// no more. So each Connect notes in one file which process holds which id, and
// the file and its predecessor say who held an id lately.
const (
	holdersFile  = "holders"
	holdersOld   = "holders.old"
	holdersLimit = 1 << 18 // bytes, after which the file becomes the old one
)

// noteHolder notes that this process holds the id with the given key. The store
// is locked.
func noteHolder(s *store, key string) error {
	path := s.Path(holdersFile)
	if info, err := os.Lstat(path); err == nil && info.Size() > holdersLimit {
		if err := os.Rename(path, s.Path(holdersOld)); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return fmt.Errorf("note the holder: %w", err)
	}
	_, err = f.Write(holderLine(key, os.Getpid()))
	return errors.Join(err, f.Chmod(0o600), f.Close())
}

func holderLine(key string, pid int) []byte {
	return []byte("\n" + strconv.Itoa(pid) + " " + key + "\n")
}

// heldOnce says whether process pid has held the id lately.
func heldOnce(s *store, id string, pid int) (bool, error) {
	line := holderLine(roster.Key(id), pid)
	dir, err := s.FS().OpenDir(s.Path())
	if err != nil {
		return false, err
	}
	defer dir.Close()
	for _, name := range []string{holdersFile, holdersOld} {
		data, err := disk.ReadFile(dir, name, 2*holdersLimit)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
		if bytes.Contains(data, line) {
			return true, nil
		}
	}
	return false, nil
}
