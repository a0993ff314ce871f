//go:build linux && !ipcmgr_fallback

package shm

import (
	"context"
	"errors"

	"github.com/ipcmgr/ipcmgr/internal/corrupt"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// Ack marks records in their rings. It is on record when the words are written:
// the memory outlives the process.
func (m *mailbox) Ack(ctx context.Context, ds []protocol.Delivery) error {
	if ctx.Err() != nil {
		return failed("acknowledge", "", context.Cause(ctx))
	}
	return failed("acknowledge", "", m.settle(ds))
}

func (m *mailbox) settle(ds []protocol.Delivery) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left.Load() {
		return protocol.ErrClosed
	}
	var i *inlet
	msgs, bytes := 0, 0
	for _, d := range ds {
		if index := d.Tag >> tagBits; i == nil || i.index != index {
			m.freeRing(i)
			i = m.inbox.byIndex[index]
		}
		if i == nil {
			continue
		}
		if n, ok := i.settle(d.Tag & (1<<tagBits - 1) * 8); ok {
			msgs++
			bytes += n
		}
	}
	m.freeRing(i)
	m.inbox.msgs -= msgs
	m.inbox.bytes -= bytes
	m.keeper.Freed(msgs, bytes)
	return nil
}

func (m *mailbox) freeRing(i *inlet) {
	if i == nil {
		return
	}
	i.free()
	if i.closed && i.spent() {
		m.retire(m.inbox.chains[i.name.key])
	}
}

// Reject writes a message, with the reason, to the store's directory of corrupt
// ones, and acknowledges it.
func (m *mailbox) Reject(ctx context.Context, d protocol.Delivery, reason error) error {
	if ctx.Err() != nil {
		return failed("reject", "", context.Cause(ctx))
	}
	m.waiting.RLock() // the message stays mapped
	defer m.waiting.RUnlock()
	if m.left.Load() {
		return failed("reject", "", protocol.ErrClosed)
	}
	if d.Tag>>tagBits == 0 {
		return nil // what it begins was set aside when it was found
	}
	err := m.aside.Set("message", d.Data, reason)
	if errors.Is(err, corrupt.ErrFull) {
		m.notice(err)
		err = nil
	}
	if err == nil {
		err = m.settle([]protocol.Delivery{d})
	}
	return failed("reject", "", err)
}
