package powerloss

import (
	"io/fs"

	"github.com/ipcmgr/ipcmgr/internal/disk"
)

// dir is an open directory on record. A call is recorded when it has succeeded;
// the script that is recorded does one thing at a time.
type dir struct {
	disk.Dir
	r    *Recorder
	node *node
}

func (d *dir) Create(name string) (disk.File, error) {
	f, err := d.Dir.Create(name)
	if err != nil {
		return nil, err
	}
	return &file{f, d.r, d.make(name, &node{})}, nil
}

func (d *dir) Append(name string) (disk.File, error) {
	f, err := d.Dir.Append(name)
	if err != nil {
		return nil, err
	}
	n := d.r.lookup(d.node, name)
	if n == nil {
		n = d.make(name, &node{})
	}
	return &file{f, d.r, n}, nil
}

func (d *dir) make(name string, n *node) *node {
	d.r.change(op{sets: map[entry]*node{{d.node, name}: n}})
	return n
}

func (d *dir) Rename(name string, to disk.Dir, newname string) error {
	dest, ok := to.(*dir)
	if !ok {
		return fs.ErrInvalid
	}
	if err := d.Dir.Rename(name, dest.Dir, newname); err != nil {
		return err
	}
	n := d.r.lookup(d.node, name)
	d.r.change(op{sets: map[entry]*node{{d.node, name}: nil, {dest.node, newname}: n}})
	return nil
}

func (d *dir) Remove(name string) error {
	if err := d.Dir.Remove(name); err != nil {
		return err
	}
	d.r.change(op{sets: map[entry]*node{{d.node, name}: nil}})
	return nil
}

func (d *dir) Mkdir(name string) error {
	if err := d.Dir.Mkdir(name); err != nil {
		return err
	}
	d.make(name, newDir())
	return nil
}

func (d *dir) Rmdir(name string) error {
	if err := d.Dir.Rmdir(name); err != nil {
		return err
	}
	d.r.change(op{sets: map[entry]*node{{d.node, name}: nil}, empty: d.r.lookup(d.node, name)})
	return nil
}

func (d *dir) Sub(name string) (disk.Dir, error) {
	sub, err := d.Dir.Sub(name)
	if err != nil {
		return nil, err
	}
	n := d.r.lookup(d.node, name)
	if n == nil {
		n = newDir() // made by somebody else
	}
	return &dir{sub, d.r, n}, nil
}

// Sync is not passed on: nothing is at stake but the record, and disks are slow.
func (d *dir) Sync() error {
	d.r.mu.Lock()
	defer d.r.mu.Unlock()
	d.r.add(op{synced: d.node})
	return nil
}

type file struct {
	disk.File
	r    *Recorder
	node *node
}

func (f *file) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	f.r.mu.Lock()
	defer f.r.mu.Unlock()
	f.r.add(op{wrote: f.node, data: append([]byte(nil), p[:n]...)})
	return n, err
}

// Sync is not passed on, as that of a directory.
func (f *file) Sync() error {
	f.r.mu.Lock()
	defer f.r.mu.Unlock()
	f.r.add(op{synced: f.node})
	return nil
}
