//go:build linux && !ipcmgr_fallback

package shm

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Senders put rings into the first; a goodbye moves them to the second. A
// sender that was let in before may make a ring at any time: only when the
// directory is removed can it not.
const (
	ringsDir = "rings"
	outDir   = "out"
	draftDir = "draft" // what the client itself is making for others
)

// listRings gives the paths of a mailbox's rings; none where there is something
// else.
func listRings(box string) ([]string, error) {
	var paths []string
	for _, dir := range []string{ringsDir, outDir} {
		entries, err := os.ReadDir(filepath.Join(box, dir))
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) {
			return nil, err
		}
		for _, e := range entries {
			paths = append(paths, filepath.Join(box, dir, e.Name()))
		}
	}
	return paths, nil
}

// moveRings moves what is in one directory of a mailbox to another.
func moveRings(box, from, to string) error {
	entries, err := os.ReadDir(filepath.Join(box, from))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		err := os.Rename(filepath.Join(box, from, e.Name()), filepath.Join(box, to, e.Name()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// closeRings makes it impossible to put another ring into the mailbox.
func closeRings(box string) error {
	for {
		err := os.Remove(filepath.Join(box, ringsDir))
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if !errors.Is(err, fs.ErrExist) { // which a directory that is not empty gives
			return err
		}
		if err := moveRings(box, ringsDir, outDir); err != nil {
			return err
		}
	}
}

// openRings undoes closeRings, or makes the directories.
func openRings(box string) error {
	for _, dir := range []string{outDir, ringsDir} {
		if err := mkdir(filepath.Join(box, dir)); err != nil {
			return err
		}
	}
	return moveRings(box, outDir, ringsDir)
}
