// Package disk is how a store reaches its files: a narrow set of calls on an
// opened directory, in which no symbolic link is ever followed. It is narrow so
// that diskfault and powerloss can stand in for it, make any call fail, and cut
// the power after any.
//
// Beside it are locks, mapped words and bells, which belong to the kernel and
// the living and mean nothing after a power cut, and what bbolt does itself.
package disk

import (
	"io"
	"io/fs"
	"time"
)

// FS opens the directories of a store.
type FS interface {
	// OpenDir opens the directory at path. The last element of path is not
	// followed if it is a symbolic link: that is an error.
	OpenDir(path string) (Dir, error)
}

// Dir is an open directory. Names are single elements: one with a separator
// in it, "." or ".." is an error that matches fs.ErrInvalid. Errors match
// fs.ErrNotExist, fs.ErrExist and fs.ErrClosed where these apply. Methods may
// be called concurrently, Close included.
type Dir interface {
	// Path is where the directory was when it was opened.
	Path() string
	// Create makes a new file of mode 0600 under any umask, for writing;
	// fs.ErrExist if there is one.
	Create(name string) (File, error)
	// Append opens a regular file for writing at its end and makes it first, of
	// mode 0600 under any umask, if there is none.
	Append(name string) (File, error)
	// Open opens a regular file for reading; ErrNotRegular if it is anything else.
	Open(name string) (File, error)
	// Rename moves what name is to newname in the directory to, over a file
	// that stands there. Both directories come from the same FS.
	Rename(name string, to Dir, newname string) error
	// Remove removes a file, or anything else that is not a directory.
	Remove(name string) error
	// Mkdir makes a directory of mode 0700 under any umask.
	Mkdir(name string) error
	// Rmdir removes an empty directory.
	Rmdir(name string) error
	// Sub opens a directory in this one.
	Sub(name string) (Dir, error)
	// Names lists the directory from its start, in no order. Files that come or
	// go meanwhile may be missing or there.
	Names() ([]string, error)
	// Stat describes what name is; a symbolic link is described itself.
	Stat(name string) (Info, error)
	// Sync puts the names in the directory on disk.
	Sync() error
	// Close ends the use of the directory; each later call gives fs.ErrClosed.
	Close() error
}

// File is an open file of a Dir. Methods may be called concurrently, Close
// included. A Write is whole unless it returns an error.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	Stat() (Info, error)
	// Sync puts the content of the file on disk. What a failed Sync was to put
	// there is in an unknown state for ever: a second one proves nothing.
	Sync() error
	Close() error
}

// Info describes a file.
type Info struct {
	Mode    fs.FileMode
	Size    int64 // bytes
	UID     int   // of the owner; -1 where the system has none
	ModTime time.Time
	Inode   uint64 // 0 where the system has none
}

type sentinel string

func (s sentinel) Error() string { return string(s) }

const (
	// ErrNotRegular is that of a name that is not a regular file, or is one of
	// another user: such a file was put there by somebody who may not.
	ErrNotRegular = sentinel("not a regular file of this user")
	// ErrTooLarge is that of a file with more bytes than ReadFile may return.
	ErrTooLarge = sentinel("file is too large")
)
