package fsqueue

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/internal/gate"
	"github.com/ipcmgr/ipcmgr/internal/roster"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// mailbox is one connected client.
type mailbox struct {
	store    *store
	settings protocol.Settings
	id       string
	notice   func(error)
	entry    *roster.Entry

	box   disk.Dir
	draft disk.Dir // where what is to be sent is written
	drawn atomic.Uint64
	gate  *gate.Keeper
	lobby *gate.Lobby
	shelf *shelf
	door  *door
	watch *lookout
	posts posts

	life     sync.RWMutex // held for reading by each call
	freed    sync.Once
	left     atomic.Bool
	stopping sync.Mutex
	seal     sync.Mutex
	sealed   atomic.Bool // and all that was accepted is on the shelf
}

// begin lets a call in, until end.
func (m *mailbox) begin() error {
	m.life.RLock()
	if m.left.Load() {
		m.life.RUnlock()
		return protocol.ErrClosed
	}
	return nil
}

func (m *mailbox) end() { m.life.RUnlock() }

// stop ends all calls under way and returns when they have ended. No other
// begins. It returns false the second time.
func (m *mailbox) stop() (first bool) {
	m.stopping.Lock()
	first = m.left.CompareAndSwap(false, true)
	if first {
		m.gate.Ring()
		m.lobby.Close()
	}
	m.stopping.Unlock()
	m.life.Lock()   // each call has it for reading
	m.life.Unlock() //nolint:staticcheck // waiting is all it is for
	return first
}

// release frees what the mailbox holds in this process. All calls have ended.
func (m *mailbox) release() { m.freed.Do(m.free) }

func (m *mailbox) free() {
	if m.watch != nil {
		m.watch.close()
	}
	m.posts.close()
	if m.lobby != nil {
		m.lobby.Close()
	}
	if m.shelf != nil {
		m.shelf.close()
	}
	if m.gate != nil {
		m.gate.Close()
	}
	for _, d := range []disk.Dir{m.draft, m.box} {
		if d != nil {
			d.Close()
		}
	}
}

// abandon leaves the mailbox as a crash would.
func (m *mailbox) abandon() {
	m.stop()
	m.entry.Abandon()
	m.release()
}

// fail says what could not be done. The end of all things fetched and that of
// the client are passed on as they are. A file that is missing may mean that the
// store is.
func (m *mailbox) fail(op, peer string, err error) error {
	if err == nil || err == io.EOF || errors.Is(err, protocol.ErrClosed) {
		return err
	}
	if _, told := errors.AsType[*protocol.Error](err); told {
		return err
	}
	if errors.Is(err, fs.ErrNotExist) {
		if _, gone := m.store.Look(m.id); gone != nil {
			err = gone
		}
	}
	return &protocol.Error{Op: op, Protocol: name, Peer: peer, Err: err}
}

func (m *mailbox) Epoch() uint64         { return m.entry.Epoch }
func (m *mailbox) Found() protocol.State { return m.entry.Found }

func (m *mailbox) Left() (map[string]string, []byte) { return m.entry.Attrs, m.entry.Stats }

// Publish implements protocol.Mailbox. A Leave under way waits for it, or it
// for the Leave.
func (m *mailbox) Publish(ctx context.Context, attrs map[string]string, stats []byte) error {
	return m.entry.Publish(ctx, attrs, stats)
}

// path is that of something in the mailbox's directory.
func (m *mailbox) path(elem string) string { return filepath.Join(m.box.Path(), elem) }
