//go:build !unix || ipcmgr_fallback

package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
)

// Real is the machine's own. On this system it works by paths: each name is
// looked at before it is used, and between the two there is an instant.
var Real FS = real{}

type real struct{}

func (real) OpenDir(path string) (Dir, error) { return openDir(path) }

func openDir(path string) (Dir, error) {
	info, err := os.Lstat(filepath.Clean(path))
	if err == nil && !info.IsDir() {
		err = fail("open", path, "", syscall.ENOTDIR)
	}
	if err != nil {
		return nil, err
	}
	return &realDir{path: path}, nil
}

type realDir struct {
	path string

	mu     sync.Mutex
	closed bool
}

func (d *realDir) Path() string { return d.path }

// at gives the path of a name while the directory is open.
func (d *realDir) at(op, name string) (string, error) {
	if err := check(name); err != nil {
		return "", fail(op, d.path, name, err)
	}
	if err := d.open(op); err != nil {
		return "", err
	}
	return filepath.Join(d.path, name), nil
}

func (d *realDir) open(op string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return fail(op, d.path, "", fs.ErrClosed)
	}
	return nil
}

func (d *realDir) file(op, name string, flags int) (File, error) {
	path, err := d.at(op, name)
	if err != nil {
		return nil, err
	}
	info, err := os.Lstat(path)
	if err == nil && flags&os.O_EXCL == 0 {
		if !info.Mode().IsRegular() {
			return nil, fail(op, d.path, name, ErrNotRegular)
		}
		if uid, _ := owner(info); uid >= 0 && uid != os.Geteuid() {
			return nil, fail(op, d.path, name, fmt.Errorf("%w: it belongs to user %d", ErrNotRegular, uid))
		}
	}
	isNew := errors.Is(err, fs.ErrNotExist)
	f, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return nil, err
	}
	if isNew && flags&os.O_CREATE != 0 {
		if err := f.Chmod(0o600); err != nil {
			f.Close()
			return nil, err
		}
	}
	return realFile{f}, nil
}

func (d *realDir) Create(name string) (File, error) {
	return d.file("create", name, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
}

func (d *realDir) Append(name string) (File, error) {
	return d.file("append", name, os.O_WRONLY|os.O_CREATE|os.O_APPEND)
}

func (d *realDir) Open(name string) (File, error) { return d.file("open", name, os.O_RDONLY) }

func (d *realDir) Rename(name string, to Dir, newname string) error {
	dest, ok := to.(*realDir)
	if !ok {
		return fail("rename", to.Path(), newname, fs.ErrInvalid)
	}
	from, err := d.at("rename", name)
	if err != nil {
		return err
	}
	target, err := dest.at("rename", newname)
	if err != nil {
		return err
	}
	return os.Rename(from, target)
}

func (d *realDir) Remove(name string) error {
	path, err := d.at("remove", name)
	if err != nil {
		return err
	}
	if info, err := os.Lstat(path); err == nil && info.IsDir() {
		return fail("remove", d.path, name, errors.New("is a directory"))
	}
	return os.Remove(path)
}

func (d *realDir) Mkdir(name string) error {
	path, err := d.at("mkdir", name)
	if err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		return err
	}
	return os.Chmod(path, 0o700)
}

func (d *realDir) Rmdir(name string) error {
	path, err := d.at("rmdir", name)
	if err != nil {
		return err
	}
	if info, err := os.Lstat(path); err == nil && !info.IsDir() {
		return fail("rmdir", d.path, name, syscall.ENOTDIR)
	}
	return os.Remove(path)
}

func (d *realDir) Sub(name string) (Dir, error) {
	path, err := d.at("open", name)
	if err != nil {
		return nil, err
	}
	return openDir(path)
}

func (d *realDir) Names() ([]string, error) {
	if err := d.open("list"); err != nil {
		return nil, err
	}
	f, err := os.Open(d.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

func (d *realDir) Stat(name string) (Info, error) {
	path, err := d.at("stat", name)
	if err != nil {
		return Info{}, err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return Info{}, err
	}
	return describe(info), nil
}

func (d *realDir) Sync() error {
	if err := d.open("sync"); err != nil {
		return err
	}
	if runtime.GOOS == "windows" {
		return nil // which keeps names by itself, and has no call for it
	}
	f, err := os.Open(d.path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

func (d *realDir) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return fail("close", d.path, "", fs.ErrClosed)
	}
	d.closed = true
	return nil
}

// realFile is an os.File, but for what Stat returns.
type realFile struct{ *os.File }

func (f realFile) Stat() (Info, error) {
	info, err := f.File.Stat()
	if err != nil {
		return Info{}, err
	}
	return describe(info), nil
}

func describe(info os.FileInfo) Info {
	uid, inode := owner(info)
	return Info{Mode: info.Mode(), Size: info.Size(), UID: uid, ModTime: info.ModTime(), Inode: inode}
}
