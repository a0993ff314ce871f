//go:build unix && !ipcmgr_fallback

package disk

import (
	"errors"
	"io/fs"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Real is the machine's own.
var Real FS = real{}

type real struct{}

// openDir: a symbolic link gives ENOTDIR.
const openDir = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC

func (real) OpenDir(path string) (Dir, error) {
	// A slash at the end would follow a link.
	if trimmed := strings.TrimRight(path, "/"); trimmed != "" {
		path = trimmed
	}
	fd, err := openat(unix.AT_FDCWD, path, openDir, 0)
	if err != nil {
		return nil, fail("open", path, "", err)
	}
	return &realDir{handle: handle{fd: fd}, path: path}, nil
}

// realDir works by the directory's descriptor, so it stays the same directory
// whatever its path comes to mean.
type realDir struct {
	handle
	path    string
	listing sync.Mutex // the descriptor has one position
}

func (d *realDir) Path() string { return d.path }

// do runs a call that needs the directory and a name in it.
func (d *realDir) do(op, name string, call func() error) error {
	err := check(name)
	if err == nil {
		err = d.use()
	}
	if err != nil {
		return fail(op, d.path, name, err)
	}
	defer d.done()
	return fail(op, d.path, name, retry(call))
}

// open opens a file in the directory. NONBLOCK: a FIFO must not hang it.
func (d *realDir) open(op, name string, flags int) (f *realFile, err error) {
	const safely = unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
	err = d.do(op, name, func() error {
		fd, err := unix.Openat(d.fd, name, flags|safely, 0o600)
		if err != nil {
			return notRegular(err)
		}
		f = &realFile{handle: handle{fd: fd}, dir: d.path, name: name}
		if err := f.settle(flags&unix.O_CREAT != 0); err != nil {
			f.Close()
			return err
		}
		return nil
	})
	return f, err
}

// notRegular translates what opening a symbolic link, a directory or a FIFO
// without a reader gives.
func notRegular(err error) error {
	switch err {
	case unix.ELOOP, unix.EMLINK, unix.EISDIR, unix.ENXIO:
		return ErrNotRegular
	}
	return err
}

func (d *realDir) Create(name string) (File, error) {
	f, err := d.open("create", name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (d *realDir) Append(name string) (File, error) {
	for {
		f, err := d.open("append", name, unix.O_WRONLY|unix.O_APPEND)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		// Made on its own, so that only who makes the file sets its mode.
		f, err = d.open("append", name, unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT|unix.O_EXCL)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
}

func (d *realDir) Open(name string) (File, error) {
	f, err := d.open("open", name, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (d *realDir) Rename(name string, to Dir, newname string) error {
	dest, ok := to.(*realDir)
	err := check(newname)
	switch {
	case err != nil:
	case !ok:
		err = fs.ErrInvalid
	case dest != d:
		if err = dest.use(); err == nil {
			defer dest.done()
		}
	}
	if err != nil {
		return fail("rename", to.Path(), newname, err)
	}
	return d.do("rename", name, func() error { return unix.Renameat(d.fd, name, dest.fd, newname) })
}

func (d *realDir) Remove(name string) error {
	return d.do("remove", name, func() error { return unix.Unlinkat(d.fd, name, 0) })
}

func (d *realDir) Mkdir(name string) error {
	return d.do("mkdir", name, func() error {
		if err := unix.Mkdirat(d.fd, name, 0o700); err != nil {
			return err
		}
		var st unix.Stat_t
		err := unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
		if err == nil && st.Mode&0o777 != 0o700 {
			err = unix.Fchmodat(d.fd, name, 0o700, 0) // the umask took a bit away
		}
		return err
	})
}

func (d *realDir) Rmdir(name string) error {
	return d.do("rmdir", name, func() error { return unix.Unlinkat(d.fd, name, unix.AT_REMOVEDIR) })
}

func (d *realDir) Sub(name string) (Dir, error) {
	var sub *realDir
	err := d.do("open", name, func() error {
		fd, err := unix.Openat(d.fd, name, openDir, 0)
		sub = &realDir{handle: handle{fd: fd}, path: join(d.path, name)}
		return err
	})
	if err != nil {
		return nil, err
	}
	return sub, nil
}

// listSize is large so that few directories take more than one call: between
// two of them a file system may lose sight of files that come and go.
const listSize = 64 << 10

var listBuffers = sync.Pool{New: func() any { return new([listSize]byte) }}

func (d *realDir) Names() ([]string, error) {
	if err := d.use(); err != nil {
		return nil, fail("list", d.path, "", err)
	}
	defer d.done()
	d.listing.Lock()
	defer d.listing.Unlock()
	if _, err := unix.Seek(d.fd, 0, 0); err != nil {
		return nil, fail("list", d.path, "", err)
	}
	buf := listBuffers.Get().(*[listSize]byte)
	defer listBuffers.Put(buf)
	var names []string
	for {
		n := 0
		err := retry(func() (err error) { n, err = unix.ReadDirent(d.fd, buf[:]); return err })
		if err != nil {
			return nil, fail("list", d.path, "", err)
		}
		if n <= 0 {
			return names, nil
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
}

func (d *realDir) Stat(name string) (info Info, err error) {
	err = d.do("stat", name, func() error {
		var st unix.Stat_t
		if err := unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
		info = describe(&st)
		return nil
	})
	return info, err
}

func (d *realDir) Sync() error {
	if err := d.use(); err != nil {
		return fail("sync", d.path, "", err)
	}
	defer d.done()
	return fail("sync", d.path, "", retry(func() error { return fsync(d.fd) }))
}

func (d *realDir) Close() error { return fail("close", d.path, "", d.close()) }

func openat(at int, path string, flags int, mode uint32) (fd int, err error) {
	err = retry(func() (err error) { fd, err = unix.Openat(at, path, flags, mode); return err })
	return fd, err
}
