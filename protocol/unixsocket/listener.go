//go:build unix

package unixsocket

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipcmgr/ipcmgr/internal/step"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// listener is the socket that a client listens at. It belongs to who has the
// mailbox's turn.
type listener struct {
	path string
	fd   int
	file os.FileInfo // which file at path is ours
}

// listen makes a socket in tmp and puts it at path, where nothing may be: whoever
// finds it there finds somebody who listens.
func listen(tmp, path string) (*listener, error) {
	draft := filepath.Join(tmp, strings.ToLower(rand.Text()[:8]))
	fd, err := bind(draft)
	if errors.Is(err, fs.ErrNotExist) { // cleaners remove what is empty, too
		_ = os.Mkdir(tmp, 0o700)
		fd, err = bind(draft)
	}
	if err != nil {
		return nil, err
	}
	step.Here("listening")
	info, err := os.Lstat(draft)
	if err == nil {
		if err = os.Link(draft, path); err != nil && !errors.Is(err, fs.ErrExist) {
			err = os.Rename(draft, path) // not every file system has links
		}
	}
	_ = os.Remove(draft)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &listener{path: path, fd: fd, file: info}, nil
}

// unlink removes the path, unless something else has come to stand there.
func (l *listener) unlink() {
	if info, err := os.Lstat(l.path); err == nil && os.SameFile(info, l.file) {
		os.Remove(l.path)
	}
}

func (l *listener) close() { unix.Close(l.fd) }

// clearStale removes what a client that is dead has left where a socket is to
// be: a socket that nobody listens at, or the empty file of one that only
// dialled. The store is locked and says that the id is nobody's.
func clearStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	switch {
	case info.Mode().IsRegular() && info.Size() == 0:
	case info.Mode().Type() == fs.ModeSocket:
		fd, err := reach(path)
		if err == nil || err == unix.EAGAIN {
			unix.Close(fd)
			return fmt.Errorf("somebody listens at %s who is not a client of the store: end that process, or choose another id", path)
		}
		if !errors.Is(err, unix.ECONNREFUSED) {
			return fmt.Errorf("whether somebody listens at %s cannot be told: %w", path, err)
		}
	default:
		return fmt.Errorf("%s is in the way and not a socket (%v): remove it, or choose another id", path, info.Mode())
	}
	return os.Remove(path)
}

// guard listens again when the socket's path has vanished, as cleaners of
// temporary directories make it. If the store has vanished too, that is the end.
func (m *Mailbox) guard() {
	path, file := m.listener.path, m.listener.file
	foreign := false
	var vanished rare
	var again <-chan time.Time
	for {
		select {
		case <-m.over.Done():
			return
		case <-m.watcher.Events():
		case <-again:
		}
		again = nil
		info, err := os.Lstat(path)
		if err == nil {
			if other := !os.SameFile(info, file); other && !foreign {
				m.notice(fmt.Errorf("another file has come to stand at %s: new peers cannot reach this client", path))
				foreign = true
			}
			continue
		}
		foreign = false
		if !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if m.isSealed() {
			continue
		}
		// Locked, or it might be made in a route that is being cleared away.
		err = m.store.Locked(m.over, func() error {
			if err := m.take(m.over); err != nil {
				return err
			}
			defer m.release()
			if m.isSealed() {
				return nil
			}
			defer func() { file = m.listener.file }()
			return m.relisten()
		})
		switch {
		case err == nil:
		case errors.Is(err, protocol.ErrNoStore):
			m.end(err)
			m.poller.wake()
		case m.over.Err() == nil:
			m.notice(vanished.tell(fmt.Errorf("the socket has vanished: %w", err), time.Now()))
			again = time.After(shortPause)
		}
	}
}

// relisten makes a new socket at the path. Who has reached the old one is
// served first.
func (m *Mailbox) relisten() error {
	if _, err := m.acceptAll(); err != nil {
		return err
	}
	l, err := listen(m.store.Path("tmp"), m.listener.path)
	if err != nil {
		return err
	}
	if _, err := m.acceptAll(); err != nil { // who found the old one just before it vanished
		l.unlink()
		l.close()
		return err
	}
	m.poller.remove(m.listener.fd)
	m.listener.close()
	m.listener = l
	if err := m.poller.add(l.fd); err != nil {
		m.later(err)
	}
	m.notice(fmt.Errorf("the socket %s had vanished; the client listens there again", l.path))
	return nil
}
