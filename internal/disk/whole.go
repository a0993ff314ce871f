package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"strconv"
	"sync/atomic"
)

// ErrUnsynced is that of a file which stands under its name, but perhaps not
// after a power cut: the directory could not be put on disk.
const ErrUnsynced = sentinel("in place, but not known to be on disk")

// WriteFile makes name in d a file with data in it, over one that stands there.
// It is written in tmp, a directory of the same file system, and renamed, so
// that nobody sees a part of it. With sync, file and directory are on disk when
// it returns. On an error d is as it was, unless the error matches ErrUnsynced.
func WriteFile(d, tmp Dir, name string, data []byte, sync bool) error {
	f, temp, err := createTemp(tmp)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil && sync {
		err = f.Sync()
	}
	// A file system may tell of a failed write only when the file is closed.
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = tmp.Rename(temp, d, name)
	}
	if err != nil {
		return errors.Join(err, tmp.Remove(temp))
	}
	if sync {
		if err := d.Sync(); err != nil {
			return fmt.Errorf("%s: %w: %w", name, ErrUnsynced, err)
		}
	}
	return nil
}

// Temporary names are told apart by process, by a random number (a pid comes
// back, and another container has the same ones) and by count.
var (
	tempPrefix = "t" + strconv.Itoa(os.Getpid()) + "-" + strconv.FormatUint(rand.Uint64(), 36) + "-"
	tempCount  atomic.Uint64
)

func createTemp(tmp Dir) (File, string, error) {
	for {
		name := tempPrefix + strconv.FormatUint(tempCount.Add(1), 36)
		f, err := tmp.Create(name)
		if err == nil || !errors.Is(err, fs.ErrExist) {
			return f, name, err
		}
	}
}

// ReadFile reads a regular file of at most max bytes. ErrTooLarge if it has
// more, and no more than max+1 are read or allocated to find that out;
// ErrNotRegular if it is anything else.
func ReadFile(d Dir, name string, max int) ([]byte, error) {
	f, err := d.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	tooLarge := func() error {
		return fail("read", d.Path(), name, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, max))
	}
	if info.Size > int64(max) {
		return nil, tooLarge()
	}
	// One byte more than the file has: the read that finds its end needs room.
	data := make([]byte, 0, info.Size+1)
	for {
		n, err := f.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case len(data) > max:
			return nil, tooLarge()
		case err == io.EOF:
			return data, nil
		case err != nil:
			return nil, err
		case len(data) == cap(data): // it grows
			data = append(make([]byte, 0, min(2*cap(data), max+1)), data...)
		}
	}
}
