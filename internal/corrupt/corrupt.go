// Package corrupt sets aside what no mailbox can use, each thing with the
// reason beside it, where a person finds it. What is kept is bounded: whoever
// can write rubbish into a store must not fill the disk with it.
package corrupt

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/ipcmgr/ipcmgr/internal/disk"
)

// What one directory keeps at most. Each thing has a file with its reason,
// which is not counted.
const (
	MaxFiles = 1000
	MaxBytes = 64 << 20
)

const reasonEnd = ".reason"

type sentinel string

func (s sentinel) Error() string { return string(s) }

// ErrFull is matched when there was no room left and the thing was dropped.
const ErrFull = sentinel("no room to set it aside, it was dropped")

// Set keeps data in dir under a name that ends in name, and the reason beside
// it. dir is made if its parent is there.
func Set(dir, name string, data []byte, reason error) error {
	d, err := room(disk.Real, dir, int64(len(data)))
	if err != nil {
		return err
	}
	defer d.Close()
	name = stamped(name)
	if err := write(d, name, data); err != nil {
		return fmt.Errorf("set aside in %s: %w", dir, err)
	}
	return explain(d, name, reason)
}

// Take moves what stands under name in from, a directory of fsys, to dir, and
// puts the reason beside it; whatever it is, it is not opened. Without room it
// is removed: a directory stays then if it is not empty.
func Take(fsys disk.FS, dir string, from disk.Dir, name string, reason error) error {
	info, err := from.Stat(name)
	if err != nil {
		return err
	}
	d, err := room(fsys, dir, info.Size)
	if errors.Is(err, ErrFull) {
		remove := from.Remove
		if info.Mode.IsDir() {
			remove = from.Rmdir
		}
		return errors.Join(err, remove(name))
	}
	if err != nil {
		return err
	}
	defer d.Close()
	to := stamped(name)
	if err := from.Rename(name, d, to); err != nil {
		return fmt.Errorf("set aside in %s: %w", dir, err)
	}
	return explain(d, to, reason)
}

// room opens dir if size more bytes may be kept there.
func room(fsys disk.FS, dir string, size int64) (disk.Dir, error) {
	d, err := open(fsys, dir)
	if err != nil {
		return nil, err
	}
	names, err := d.Names()
	if err != nil {
		d.Close()
		return nil, err
	}
	files := 0
	for _, name := range names {
		if strings.HasSuffix(name, reasonEnd) {
			continue
		}
		files++
		if info, err := d.Stat(name); err == nil {
			size += info.Size
		}
	}
	if files >= MaxFiles || size > MaxBytes {
		d.Close()
		return nil, fmt.Errorf("%s: %w", dir, ErrFull)
	}
	return d, nil
}

// open opens dir, and makes it first if need be.
func open(fsys disk.FS, dir string) (disk.Dir, error) {
	d, err := fsys.OpenDir(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return d, err
	}
	parent, err := fsys.OpenDir(filepath.Dir(dir))
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	if err := parent.Mkdir(filepath.Base(dir)); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return fsys.OpenDir(dir)
}

// stamped makes a name that is new, sorts by time, and fits with its reason's.
func stamped(name string) string {
	if len(name) > 200 {
		name = name[:200]
	}
	return time.Now().UTC().Format("20060102T150405.000000000Z-") + name
}

func explain(d disk.Dir, name string, reason error) error {
	return write(d, name+reasonEnd, []byte(reason.Error()+"\n"))
}

func write(d disk.Dir, name string, data []byte) error {
	f, err := d.Create(name)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
