//go:build unix

package unixsocket

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipcmgr/ipcmgr/internal/dirwatch"
	"github.com/ipcmgr/ipcmgr/internal/gate"
	"github.com/ipcmgr/ipcmgr/internal/process"
	"github.com/ipcmgr/ipcmgr/internal/roster"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// reappearance bounds the wait for a peer to listen again at a path that has
// vanished. A live one of ours does, but it may be stopped for seconds; a foreign
// one may never.
const reappearance = 30 * time.Second

// unreachable is how long a peer that lives may refuse connections: one that has
// been killed seems to live until the kernel has come to its end.
const unreachable = 10 * time.Second

// errOther says that another process listens at a peer's socket: mostly its
// successor, while nobody has told yet that the peer has ended.
var errOther = errors.New("not the peer")

// reachPeer finds the peer, its gate, and a connection with it.
func (m *Mailbox) reachPeer(ctx context.Context, l *link, wait bool) error {
	ctx, done := m.during(ctx)
	defer done()
	if !wait {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, patience, protocol.ErrFull)
		defer cancel()
	}
	begun := time.Now()
	for try := 0; ; try++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		seen, err := m.store.Look(l.id)
		if err != nil {
			return err
		}
		switch seen.State {
		case protocol.Active:
		case protocol.Crashed:
			return protocol.ErrPeerCrashed
		default:
			return fmt.Errorf("%w: %q is %v, and nothing is kept for it", protocol.ErrNoPeer, l.id, seen.State)
		}
		err = m.approach(ctx, l, &seen)
		if err == nil {
			return nil
		}
		if err := m.settled(ctx, l, &seen, err); err != nil {
			return err
		}
		limit := unreachable
		if errors.Is(err, fs.ErrNotExist) {
			limit = reappearance
		}
		if try >= redials && time.Since(begun) > limit {
			return fmt.Errorf("%w: process %d lives, but cannot be reached: %w", protocol.ErrPeerGone, seen.PID, err)
		}
	}
}

// approach connects to a peer as it was seen.
func (m *Mailbox) approach(ctx context.Context, l *link, seen *roster.Seen) (err error) {
	l.unlink()
	if !seen.Foreign {
		if err := m.visit(l, m.store.Box(seen.Key)); err != nil {
			return err
		}
		defer func() {
			if err != nil {
				l.unlink()
			}
		}()
		if !l.visitor.Open() {
			return fmt.Errorf("%w: it is leaving", protocol.ErrPeerGone)
		}
	}
	if l.conn = m.connected(seen); l.conn != nil {
		return nil
	}
	path, err := m.address(seen.ID)
	if err != nil {
		return err
	}
	if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() {
		return fmt.Errorf("%w: %q takes no connections, it can only be answered on one that it makes", protocol.ErrNoPeer, seen.ID)
	}
	l.conn, err = m.dial(ctx, l, seen, path)
	return err
}

// visit opens the gate of a mailbox.
func (m *Mailbox) visit(l *link, box string) (err error) {
	l.visitor, err = gate.Visit(box, m.lobby)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: its mailbox is being removed", protocol.ErrPeerGone)
	}
	return err
}

// connected gives the newest connection that there is with a peer in the life
// in which it was seen.
func (m *Mailbox) connected(seen *roster.Seen) *conn {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.friends[seen.ID]
	if f == nil {
		return nil
	}
	for _, c := range slices.Backward(f.conns) {
		if !c.past && c.epoch == seen.Epoch && c.over.Err() == nil && !c.broken.Load() {
			return c
		}
	}
	return nil
}

// dial makes a connection and says hello.
func (m *Mailbox) dial(ctx context.Context, l *link, seen *roster.Seen, path string) (*conn, error) {
	fd, err := reach(path)
	if err == unix.EAGAIN {
		moves := m.sticks(l)
		err = reachPatiently(ctx, fd, path)
		moves()
		if err != nil {
			unix.Close(fd)
		}
	}
	if err != nil {
		return nil, err
	}
	c := newConn(fd)
	pid, uid, err := credentials(fd)
	switch {
	case err != nil:
		err = fmt.Errorf("who listens at %s is not told: %w", path, err)
	case uid != os.Geteuid() || !m.same(pid, seen.PID):
		err = fmt.Errorf("%w: process %d of user %d listens at %s, where process %d should", errOther, pid, uid, path, seen.PID)
	}
	if err != nil {
		c.close()
		return nil, err
	}
	c.pid, c.epoch, c.counted = pid, seen.Epoch, !seen.Foreign
	m.mu.Lock()
	if m.closed.Load() {
		m.mu.Unlock()
		c.close()
		return nil, protocol.ErrClosed
	}
	m.enlist(c)
	m.befriend(c, seen.ID)
	if m.sealed {
		c.shut(unix.SHUT_RD)
	} else {
		err = m.poller.add(fd)
	}
	m.mu.Unlock()
	if err == nil {
		err = m.introduce(c)
	}
	if err != nil {
		c.shut(unix.SHUT_RDWR) // whoever reads it sees the end
		return nil, err
	}
	return c, nil
}

func (m *Mailbox) introduce(c *conn) error {
	hello := binary.BigEndian.AppendUint32(nil, uint32(len(m.options.Hello)))
	hello = append(hello, m.options.Hello...)
	n, err := c.send(hello)
	if err == nil && n < len(hello) {
		err = errors.New("a new connection has no room for a hello")
	}
	return err
}

// settled is called when a peer that is said to be active cannot be reached. It
// returns nil when it is time to look again: the peer's end, or its socket, was
// waited for. Otherwise it says why not.
func (m *Mailbox) settled(ctx context.Context, l *link, seen *roster.Seen, why error) error {
	switch {
	case errors.Is(why, fs.ErrNotExist):
		defer m.sticks(l)()
		return m.awaitSocket(ctx, seen)
	case errors.Is(why, unix.ECONNREFUSED), errors.Is(why, errBroken), errors.Is(why, errOther):
		defer m.sticks(l)()
		return m.awaitEnd(ctx, seen)
	}
	return why
}

// awaitEnd waits, not for long, for the end of a process that has closed its
// sockets: that comes first when it is killed. Whoever watches it for the roster
// may learn of its end later.
func (m *Mailbox) awaitEnd(ctx context.Context, seen *roster.Seen) error {
	exit, err := process.Watch(process.ID{PID: seen.PID, Start: seen.Start})
	if errors.Is(err, os.ErrProcessDone) {
		return m.ended(seen)
	}
	if err != nil {
		return err
	}
	defer exit.Close()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-exit.Done():
		return m.ended(seen)
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ended returns ErrPeerCrashed for a peer whose process has ended, unless it has
// come into another state before or since.
func (m *Mailbox) ended(seen *roster.Seen) error {
	now, err := m.store.Look(seen.ID)
	if err == nil && now.PID == seen.PID && now.Start == seen.Start && now.Epoch == seen.Epoch {
		return protocol.ErrPeerCrashed
	}
	return nil
}

// awaitSocket waits, not for long, until something happens where a peer's socket
// should be: it may have vanished, and the peer is about to notice, or to leave.
func (m *Mailbox) awaitSocket(ctx context.Context, seen *roster.Seen) error {
	path, err := m.address(seen.ID)
	if err != nil {
		return err
	}
	w, err := dirwatch.Watch(m.store.Route(), m.notice)
	if err != nil {
		return err
	}
	defer w.Close()
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-w.Events():
		return nil
	case <-timer.C: // it may have been killed, of which nothing tells here
		return m.endedWhile(seen)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// endedWhile is ended for a peer whose process may have.
func (m *Mailbox) endedWhile(seen *roster.Seen) error {
	if process.Alive(process.ID{PID: seen.PID, Start: seen.Start}) {
		return nil
	}
	return m.ended(seen)
}
