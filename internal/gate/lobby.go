package gate

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"sync"

	"github.com/ipcmgr/ipcmgr/internal/bell"
)

// Lobby is where a client waits as a sender: one for each client, whatever the
// number of gates it waits at. Each ring wakes all its waiters, and each looks
// at its own gate again. A goroutine hears the bell while somebody waits.
type Lobby struct {
	key  string
	bell *bell.Bell

	mu      sync.Mutex
	waiting int
	hearing bool
	stop    context.CancelFunc // of the hearing
	rung    chan struct{}      // closed at the next ring
	closed  chan struct{}
	heard   sync.WaitGroup
}

// OpenLobby opens the waiting place of the client whose mailbox is box and is
// named key.
func OpenLobby(box, key string) (*Lobby, error) {
	path := filepath.Join(box, lobbyFile)
	if err := hang(path); err != nil {
		return nil, err
	}
	b, err := bell.Open(path)
	if err != nil {
		return nil, err
	}
	return &Lobby{key: key, bell: b, rung: make(chan struct{}), closed: make(chan struct{})}, nil
}

// ring rings the bell at path. That there is none is no error: that client is
// gone.
func ring(path string) error {
	r, err := bell.OpenRope(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(r.Ring(), r.Close())
}

// enter begins the wait of one more.
func (l *Lobby) enter() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting++
	if l.hearing || l.isClosed() {
		return
	}
	l.hearing = true
	l.heard.Go(l.hear)
}

// leave ends the wait of one.
func (l *Lobby) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting--
	if l.waiting == 0 && l.stop != nil {
		l.stop()
	}
}

// next is closed at the first ring after the call, or before it.
func (l *Lobby) next() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rung
}

// hear tells the waiters of each ring, as long as there are any.
func (l *Lobby) hear() {
	for {
		l.mu.Lock()
		if l.waiting == 0 || l.isClosed() {
			l.hearing, l.stop = false, nil
			l.mu.Unlock()
			return
		}
		ctx, stop := context.WithCancel(context.Background())
		l.stop = stop
		l.mu.Unlock()

		err := l.bell.Wait(ctx)
		ended := err != nil && ctx.Err() != nil
		stop()
		if ended {
			continue // the last one left; another may have come
		}
		l.mu.Lock()
		close(l.rung)
		l.rung = make(chan struct{})
		if err != nil {
			// Only a closed bell: its waiters are told by the channel closed.
			l.hearing, l.stop = false, nil
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
	}
}

func (l *Lobby) isClosed() bool {
	select {
	case <-l.closed:
		return true
	default:
		return false
	}
}

// Close ends each wait with protocol.ErrClosed. A second Close does nothing.
func (l *Lobby) Close() error {
	l.mu.Lock()
	if l.isClosed() {
		l.mu.Unlock()
		return nil
	}
	close(l.closed)
	l.mu.Unlock()
	err := l.bell.Close()
	l.heard.Wait()
	return err
}
