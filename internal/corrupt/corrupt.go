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

// Place is a directory for what is set aside. It is made when it is needed, if
// its parent is there.
type Place struct {
	FS   disk.FS
	Dir  string
	Sync bool // what Set keeps is on disk when it returns
}

// Set keeps data under a name that ends in name, and the reason beside it.
func (p Place) Set(name string, data []byte, reason error) error {
	d, err := p.room(int64(len(data)))
	if err != nil {
		return err
	}
	defer d.Close()
	name = stamped(name)
	err = p.write(d, name, data)
	if err == nil {
		err = p.explain(d, name, reason)
	}
	if err == nil && p.Sync {
		err = d.Sync()
	}
	if err != nil {
		return fmt.Errorf("set aside in %s: %w", p.Dir, err)
	}
	return nil
}

// Take moves what stands under name in from, a directory of the same FS, and
// puts the reason beside it; whatever it is, it is not opened. Without room it
// is removed: a directory stays then if it is not empty.
func (p Place) Take(from disk.Dir, name string, reason error) error {
	info, err := from.Stat(name)
	if err != nil {
		return err
	}
	d, err := p.room(info.Size)
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
		return fmt.Errorf("set aside in %s: %w", p.Dir, err)
	}
	return p.explain(d, to, reason)
}

// room opens the directory if size more bytes may be kept there.
func (p Place) room(size int64) (disk.Dir, error) {
	d, err := p.open()
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
		return nil, fmt.Errorf("%s: %w", p.Dir, ErrFull)
	}
	return d, nil
}

// open opens the directory, and makes it first if need be.
func (p Place) open() (disk.Dir, error) {
	d, err := p.FS.OpenDir(p.Dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return d, err
	}
	parent, err := p.FS.OpenDir(filepath.Dir(p.Dir))
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	err = parent.Mkdir(filepath.Base(p.Dir))
	if err == nil && p.Sync {
		err = parent.Sync()
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return p.FS.OpenDir(p.Dir)
}

// stamped makes a name that is new, sorts by time, and fits with its reason's.
func stamped(name string) string {
	if len(name) > 200 {
		name = name[:200]
	}
	return time.Now().UTC().Format("20060102T150405.000000000Z-") + name
}

func (p Place) explain(d disk.Dir, name string, reason error) error {
	return p.write(d, name+reasonEnd, []byte(reason.Error()+"\n"))
}

func (p Place) write(d disk.Dir, name string, data []byte) error {
	f, err := d.Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil && p.Sync {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
