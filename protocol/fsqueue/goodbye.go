package fsqueue

import (
	"context"
	"errors"
	"io/fs"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// Seal implements protocol.Mailbox. A sender that was admitted before may hold
// the directory open and rename a file into it at any time: only when the
// directory is removed can it not. So what is there is moved away until the
// removal succeeds; a rename into a removed directory fails.
func (m *mailbox) Seal(ctx context.Context) error {
	if err := m.begin(); err != nil {
		return err
	}
	defer m.end()
	m.seal.Lock()
	defer m.seal.Unlock()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if m.sealed.Load() {
		return nil
	}
	m.gate.Seal()
	if err := m.door.close(m.shelf); err != nil {
		return m.fail("seal", "", err)
	}
	m.shelf.leaving.Store(true)
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if m.left.Load() {
			return protocol.ErrClosed
		}
		err := m.box.Rmdir(newDir)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			break
		}
		names, listErr := m.shelf.fresh.Names()
		if listErr != nil {
			return m.fail("seal", "", listErr)
		}
		if len(names) == 0 && !errors.Is(err, fs.ErrExist) {
			return m.fail("seal", "", err)
		}
		if err := moveAll(m.shelf.fresh, m.shelf.out); err != nil {
			return m.fail("seal", "", err)
		}
	}
	if m.settings.Sync {
		if err := m.shelf.flush(); err != nil {
			return m.fail("seal", "", err)
		}
	}
	m.sealed.Store(true)
	m.gate.Ring() // a Fetch that waits may be at the end
	return nil
}

// Leave implements protocol.Mailbox.
func (m *mailbox) Leave(ctx context.Context, d protocol.Departure) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if !m.stop() {
		return protocol.ErrClosed
	}
	err := m.entry.Leave(ctx, d, func() error {
		if d.Suspend {
			return m.suspend(d)
		}
		return m.clear(ctx)
	})
	m.release()
	return err
}

// suspend leaves the mailbox for a later holder.
func (m *mailbox) suspend(d protocol.Departure) error {
	back := map[string][]int{}
	for i := range d.Back {
		if l, at, ok := m.shelf.handed(d.Back[i].Tag); ok {
			back[l.name] = append(back[l.name], at)
		}
	}
	read := map[string]*record{}
	for name, l := range m.shelf.known {
		read[name] = l.old
	}
	if err := m.shelf.ledger.suspend(back, read); err != nil {
		return err
	}
	m.gate.Suspend(d.Until)
	if m.settings.Sync {
		return m.gate.Sync()
	}
	return nil
}

// clear removes the mailbox. Senders that were admitted before may put files
// into it until that is done, but no others come.
func (m *mailbox) clear(ctx context.Context) error {
	m.gate.Seal()
	if err := m.door.close(m.shelf); err != nil {
		return err
	}
	return m.store.RemoveBox(ctx, m.entry.Key)
}
