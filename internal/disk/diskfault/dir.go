package diskfault

import (
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/ipcmgr/ipcmgr/internal/disk"
)

type dir struct {
	disk.Dir
	fs *FS
}

func (d *dir) ask(op, name string) error {
	return d.fs.ask(Call{Op: op, Path: filepath.Join(d.Path(), name)})
}

// open passes on a call that opens a file.
func (d *dir) open(op, name string, call func(string) (disk.File, error)) (disk.File, error) {
	if err := d.ask(op, name); err != nil {
		return nil, err
	}
	f, err := call(name)
	if err != nil {
		return nil, err
	}
	return &file{File: f, fs: d.fs, path: filepath.Join(d.Path(), name)}, nil
}

func (d *dir) Create(name string) (disk.File, error) { return d.open(Create, name, d.Dir.Create) }
func (d *dir) Append(name string) (disk.File, error) { return d.open(Append, name, d.Dir.Append) }
func (d *dir) Open(name string) (disk.File, error)   { return d.open(Open, name, d.Dir.Open) }

func (d *dir) Rename(name string, to disk.Dir, newname string) error {
	dest, ok := to.(*dir)
	if !ok {
		return fs.ErrInvalid
	}
	err := d.fs.ask(Call{
		Op:   Rename,
		Path: filepath.Join(d.Path(), name),
		To:   filepath.Join(dest.Path(), newname),
	})
	if err != nil {
		return err
	}
	return d.Dir.Rename(name, dest.Dir, newname)
}

func (d *dir) Remove(name string) error {
	if err := d.ask(Remove, name); err != nil {
		return err
	}
	return d.Dir.Remove(name)
}

func (d *dir) Mkdir(name string) error {
	if err := d.ask(Mkdir, name); err != nil {
		return err
	}
	return d.Dir.Mkdir(name)
}

func (d *dir) Rmdir(name string) error {
	if err := d.ask(Rmdir, name); err != nil {
		return err
	}
	return d.Dir.Rmdir(name)
}

func (d *dir) Sub(name string) (disk.Dir, error) {
	if err := d.ask(Sub, name); err != nil {
		return nil, err
	}
	sub, err := d.Dir.Sub(name)
	if err != nil {
		return nil, err
	}
	return &dir{Dir: sub, fs: d.fs}, nil
}

func (d *dir) Names() ([]string, error) {
	if err := d.ask(Names, ""); err != nil {
		return nil, err
	}
	return d.Dir.Names()
}

func (d *dir) Stat(name string) (disk.Info, error) {
	if err := d.ask(Stat, name); err != nil {
		return disk.Info{}, err
	}
	return d.Dir.Stat(name)
}

func (d *dir) Sync() error {
	if err := d.ask(SyncDir, ""); err != nil {
		return unlessSkipped(err)
	}
	return d.Dir.Sync()
}

func (d *dir) Close() error {
	return errors.Join(d.ask(CloseDir, ""), d.Dir.Close())
}
