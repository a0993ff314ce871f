package diskfault

import (
	"errors"

	"github.com/ipcmgr/ipcmgr/internal/disk"
)

type file struct {
	disk.File
	fs   *FS
	path string
}

func (f *file) ask(op string) error { return f.fs.ask(Call{Op: op, Path: f.path}) }

func (f *file) Read(p []byte) (int, error) {
	if err := f.ask(Read); err != nil {
		return 0, err
	}
	return f.File.Read(p)
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if err := f.ask(ReadAt); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f *file) Write(p []byte) (int, error) {
	err := f.ask(Write)
	if err == nil {
		return f.File.Write(p)
	}
	var short *ShortWrite
	if !errors.As(err, &short) {
		return 0, err
	}
	n, writeErr := f.File.Write(p[:min(short.N, len(p))])
	return n, errors.Join(err, writeErr)
}

func (f *file) Stat() (disk.Info, error) {
	if err := f.ask(StatFile); err != nil {
		return disk.Info{}, err
	}
	return f.File.Stat()
}

func (f *file) Sync() error {
	if err := f.ask(Sync); err != nil {
		return unlessSkipped(err)
	}
	return f.File.Sync()
}

func unlessSkipped(err error) error {
	if err == ErrSkip {
		return nil
	}
	return err
}

func (f *file) Close() error {
	return errors.Join(f.ask(Close), f.File.Close())
}
