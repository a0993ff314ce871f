//go:build linux && !ipcmgr_fallback

package shm

import (
	"context"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// Seal ends every ring: a sender either has moved the tail before, or finds that
// it cannot. Nobody can make another ring.
func (m *mailbox) Seal(ctx context.Context) error {
	if ctx.Err() != nil {
		return failed("seal", "", context.Cause(ctx))
	}
	return failed("seal", "", m.seal())
}

func (m *mailbox) seal() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left.Load() {
		return protocol.ErrClosed
	}
	if m.sealed {
		return nil
	}
	m.keeper.Seal()
	if err := closeRings(m.box); err != nil {
		return err
	}
	if err := m.list(false); err != nil {
		return err
	}
	for _, i := range m.inbox.rings() {
		i.tail.Or(sealed)
	}
	for _, c := range m.inbox.chains {
		m.inbox.enqueue(c)
	}
	m.sealed = true
	m.keeper.Ring() // a Fetch that waits may be at the end
	return nil
}

// Leave ends the connection.
func (m *mailbox) Leave(ctx context.Context, d protocol.Departure) error {
	if ctx.Err() != nil {
		return failed("leave", "", context.Cause(ctx))
	}
	if !m.stop() {
		return failed("leave", "", protocol.ErrClosed)
	}
	err := m.entry.Leave(ctx, d, func() error {
		if d.Suspend {
			return m.suspend(d)
		}
		m.keeper.Seal()
		if err := m.store.RemoveBox(ctx, m.entry.Key); err != nil {
			return err
		}
		m.free(func(i *inlet) { i.drop() }) // what follows may need the memory
		return nil
	})
	if err == nil {
		// Nothing that was handed out is valid any more.
		m.free(func(i *inlet) { i.drop() })
	} else {
		m.free(func(i *inlet) { i.abandon() })
	}
	return err
}

// stop ends all calls under way, and returns when they have ended. No other
// begins. It returns false the second time.
func (m *mailbox) stop() (first bool) {
	m.life.Lock()
	if m.freed {
		m.life.Unlock()
		return false
	}
	first = m.left.CompareAndSwap(false, true)
	m.keeper.Ring()
	m.lobby.Close()
	m.life.Unlock()
	m.peers.end()
	m.fetching.Lock()
	m.fetching.Unlock() //nolint:staticcheck // waiting is all it is for
	m.waiting.Lock()
	m.waiting.Unlock() //nolint:staticcheck // likewise
	m.mu.Lock()
	m.mu.Unlock() //nolint:staticcheck // likewise
	return first
}

// suspend leaves the mailbox to a later holder.
func (m *mailbox) suspend(d protocol.Departure) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, back := range d.Back {
		if i := m.inbox.byIndex[back.Tag>>tagBits]; i != nil {
			i.putBack(back.Tag & (1<<tagBits - 1) * 8)
		}
	}
	for _, i := range m.inbox.rings() {
		i.handed.Store(0)
		i.tail.And(^sealed)
	}
	if err := openRings(m.box); err != nil { // a Seal may have come half-way
		return err
	}
	m.keeper.Suspend(d.Until)
	return nil
}

// abandon leaves the mailbox as a crash would.
func (m *mailbox) abandon() {
	m.stop()
	m.entry.Abandon()
	m.free(func(i *inlet) { i.abandon() })
}
