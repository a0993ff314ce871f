//go:build linux && !ipcmgr_fallback

package shm

import (
	"context"
	"errors"

	"github.com/ipcmgr/ipcmgr/internal/corrupt"
	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/internal/gate"
	"github.com/ipcmgr/ipcmgr/internal/roster"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// Connect makes a client of the store.
func (s *store) Connect(ctx context.Context, o protocol.ConnectOptions) (protocol.Mailbox, error) {
	m := s.newMailbox(o)
	enter := func(e *roster.Entry) error {
		m.entry = e
		err := s.orFull(m.takeUp(ctx, e))
		if err != nil && fresh(e) {
			err = errors.Join(err, s.RemoveBox(ctx, e.Key))
		}
		return err
	}
	if _, err := s.Enter(ctx, o, enter); err != nil {
		if m.entry != nil {
			if m.keeper != nil && fresh(m.entry) {
				m.keeper.Seal() // somebody may have found it already
			}
			m.free(func(i *inlet) { i.drop() })
		}
		return nil, err
	}
	if !m.entry.Hold(m.abandon) {
		m.abandon()
		return nil, failed("connect", o.ID, protocol.ErrClosed)
	}
	return m, nil
}

// fresh says whether nothing stood under the id.
func fresh(e *roster.Entry) bool {
	return e.Found != protocol.Suspended && e.Found != protocol.Crashed
}

// takeUp makes the mailbox, or takes it up as a crash may have left it.
func (m *mailbox) takeUp(ctx context.Context, e *roster.Entry) error {
	m.box = m.store.Box(e.Key)
	m.aside = corrupt.Place{FS: m.store.FS(), Dir: m.store.Path("corrupt", e.Key)}
	if fresh(e) {
		// What lies there is of a Connect or Leave that was killed half-way.
		if err := m.store.RemoveBox(ctx, e.Key); err != nil {
			return err
		}
	}
	if err := m.makeDirs(ctx); err != nil {
		return err
	}
	stood, err := makeMarks(m.box)
	if err != nil {
		return err
	}
	if m.marks, err = openMarks(m.box); err != nil {
		return err
	}
	if err := gate.Make(m.box); err != nil {
		return err
	}
	if m.keeper, err = gate.Keep(m.box, m.store.Path("box")); err != nil {
		return err
	}
	if m.lobby, err = gate.OpenLobby(m.box, e.Key); err != nil {
		return err
	}
	if err := m.takeStock(stood, e.Found == protocol.Crashed); err != nil {
		return err
	}
	m.keeper.Open(e.Epoch)
	return nil
}

// makeDirs makes what is missing of the mailbox's directories. What the holder
// before was making for others is dropped.
func (m *mailbox) makeDirs(ctx context.Context) error {
	if err := mkdir(m.box); err != nil {
		return err
	}
	if err := openRings(m.box); err != nil {
		return err
	}
	box, err := m.store.FS().OpenDir(m.box)
	if err != nil {
		return err
	}
	defer box.Close()
	if err := disk.RemoveAll(ctx, box, draftDir); err != nil {
		return err
	}
	return box.Mkdir(draftDir)
}

// takeStock opens the rings there are, and counts what they hold. A holder that
// was killed as it said goodbye had ended them; one whose marks are lost has
// senders who mark something else, and they look here when their rings are over.
func (m *mailbox) takeStock(stood, crashed bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	tally := m.keeper.Tally()
	made := m.marks.Load(wordMade)
	if err := m.list(crashed); err != nil {
		return err
	}
	m.inbox.made = made
	msgs, bytes := 0, 0
	for _, i := range m.inbox.rings() {
		i.tail.And(^sealed)
		if !stood {
			i.tail.Or(over)
		}
		n, size := i.count()
		msgs, bytes = msgs+n, bytes+size
	}
	m.keeper.RecountSince(tally, msgs, bytes)
	return nil
}

// free lets go of all that the mailbox holds in this process. All calls have
// ended.
func (m *mailbox) free(end func(*inlet)) {
	m.life.Lock()
	defer m.life.Unlock()
	if m.freed {
		return
	}
	m.freed = true
	m.left.Store(true)
	m.mu.Lock()
	for _, i := range m.inbox.rings() {
		m.forget(i)
		end(i)
	}
	m.mu.Unlock()
	if m.lobby != nil {
		m.lobby.Close()
	}
	if m.keeper != nil {
		m.keeper.Close()
	}
	if m.marks.Words != nil {
		m.marks.Close()
	}
}
