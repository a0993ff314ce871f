//go:build unix && !ipcmgr_fallback

package disk

import (
	"fmt"
	"io"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"
)

// realFile is a bare descriptor: regular files are always ready, and Go's
// poller has no part in them.
type realFile struct {
	handle
	dir, name string
}

// settle checks that what was opened is a regular file of this user and, if it
// is new, gives it the mode that the umask may have taken away.
func (f *realFile) settle(isNew bool) error {
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return ErrNotRegular
	}
	if uid := int(st.Uid); uid != unix.Geteuid() {
		return fmt.Errorf("%w: it belongs to user %d", ErrNotRegular, uid)
	}
	if isNew && st.Mode&0o777 != 0o600 {
		return unix.Fchmod(f.fd, 0o600)
	}
	return nil
}

func (f *realFile) do(op string, call func() error) error {
	if err := f.use(); err != nil {
		return fail(op, f.dir, f.name, err)
	}
	defer f.done()
	return fail(op, f.dir, f.name, retry(call))
}

func (f *realFile) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	err = f.do("read", func() (err error) { n, err = unix.Read(f.fd, p); return err })
	if err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (f *realFile) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		m := 0
		err := f.do("read", func() (err error) { m, err = unix.Pread(f.fd, p[n:], off+int64(n)); return err })
		if err != nil {
			return n, err
		}
		if m == 0 {
			return n, io.EOF
		}
		n += m
	}
	return n, nil
}

func (f *realFile) Write(p []byte) (n int, err error) {
	for n < len(p) {
		m := 0
		err := f.do("write", func() (err error) { m, err = unix.Write(f.fd, p[n:]); return err })
		if err != nil {
			return n, err
		}
		if m == 0 {
			return n, fail("write", f.dir, f.name, io.ErrShortWrite)
		}
		n += m
	}
	return n, nil
}

func (f *realFile) Stat() (info Info, err error) {
	err = f.do("stat", func() error {
		var st unix.Stat_t
		if err := unix.Fstat(f.fd, &st); err != nil {
			return err
		}
		info = describe(&st)
		return nil
	})
	return info, err
}

func (f *realFile) Sync() error {
	return f.do("sync", func() error { return fsync(f.fd) })
}

func (f *realFile) Close() error { return fail("close", f.dir, f.name, f.close()) }

func describe(st *unix.Stat_t) Info {
	return Info{
		Mode:    mode(uint32(st.Mode)),
		Size:    st.Size,
		UID:     int(st.Uid),
		ModTime: time.Unix(st.Mtim.Unix()),
		Inode:   st.Ino,
	}
}

func mode(m uint32) fs.FileMode {
	to := fs.FileMode(m & 0o777)
	switch m & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		to |= fs.ModeDir
	case unix.S_IFLNK:
		to |= fs.ModeSymlink
	case unix.S_IFIFO:
		to |= fs.ModeNamedPipe
	case unix.S_IFSOCK:
		to |= fs.ModeSocket
	case unix.S_IFCHR:
		to |= fs.ModeDevice | fs.ModeCharDevice
	case unix.S_IFBLK:
		to |= fs.ModeDevice
	default:
		to |= fs.ModeIrregular
	}
	for _, bit := range []struct {
		have uint32
		want fs.FileMode
	}{{unix.S_ISUID, fs.ModeSetuid}, {unix.S_ISGID, fs.ModeSetgid}, {unix.S_ISVTX, fs.ModeSticky}} {
		if m&bit.have != 0 {
			to |= bit.want
		}
	}
	return to
}
