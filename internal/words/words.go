// Package words keeps a few 64-bit words in a file that processes share. Each
// operation is atomic among all of them, and in order as those of sync/atomic
// are. The words are in memory, in the machine's byte order; they outlive the
// processes, not a power cut.
package words

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// maxSize bounds in bytes what Open maps: few words are meant.
const maxSize = 1 << 20

// Create makes the file at path with n words of 0. It appears whole or not at
// all, with mode 0600 under any umask. The error matches fs.ErrExist if there
// is a file already. A process that is killed in Create may leave a file named
// .words-* behind, which means nothing.
func Create(path string, n int) error {
	if n < 1 || n > maxSize/8 {
		return fmt.Errorf("words %s: %d words: %w", path, n, fs.ErrInvalid)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".words-*")
	if err != nil {
		return fmt.Errorf("words: %w", err)
	}
	defer os.Remove(f.Name())
	// Written, not only sized: a full disk is an error now and not a fault at
	// the first Store.
	_, err = f.Write(make([]byte, 8*n))
	err = errors.Join(err, f.Chmod(0o600), f.Close())
	if err == nil {
		err = os.Link(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("words %s: %w", path, err)
	}
	return nil
}

// open opens the file at path and checks that it can hold words. The error
// matches fs.ErrInvalid if it cannot.
func open(path string) (f *os.File, n int, err error) {
	f, err = os.OpenFile(path, os.O_RDWR|safely, 0)
	if err != nil {
		// What cannot be opened for what it is, is something else; what cannot
		// be opened for want of descriptors, say, is not.
		if info, statErr := os.Lstat(path); statErr == nil && !info.Mode().IsRegular() {
			err = fmt.Errorf("%s is %v: %w", path, info.Mode(), fs.ErrInvalid)
		}
		return nil, 0, fmt.Errorf("words: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, fmt.Errorf("words: %w", err)
	}
	size := info.Size()
	if !info.Mode().IsRegular() || size <= 0 || size > maxSize || size%8 != 0 {
		f.Close()
		return nil, 0, fmt.Errorf("words %s: %v of %d bytes does not hold words: %w",
			path, info.Mode(), size, fs.ErrInvalid)
	}
	return f, int(size / 8), nil
}
