//go:build linux && !ipcmgr_fallback

package shm

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// Fetch hands out views into the rings.
func (m *mailbox) Fetch(ctx context.Context, ds []protocol.Delivery, wait bool) (int, error) {
	m.fetching.Lock()
	defer m.fetching.Unlock()
	for {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		n, err := m.fetch(ds)
		if err == io.EOF {
			return 0, err
		}
		if n > 0 || err != nil || !wait || len(ds) == 0 {
			return n, failed("fetch", "", err)
		}
		if m.spin.heard(ctx, m.keeper) {
			continue
		}
		if err := m.sleep(ctx); err != nil {
			return 0, err
		}
	}
}

// patience is how long a reader sleeps while there is a ring that it could not
// open.
const patience = time.Second

// sleep waits for the bell.
func (m *mailbox) sleep(ctx context.Context) error {
	m.mu.Lock()
	shut := m.inbox.shut != ""
	m.mu.Unlock()
	if !shut {
		return m.keeper.Wait(ctx)
	}
	short, cancel := context.WithTimeoutCause(ctx, patience, errShut)
	defer cancel()
	if err := m.keeper.Wait(short); err != errShut {
		return err
	}
	return nil
}

var errShut = errors.New("a ring could not be opened")

// others is how many times the sender that gave something last is asked first,
// until the others are.
const others = 16

func (m *mailbox) fetch(ds []protocol.Delivery) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left.Load() {
		return 0, protocol.ErrClosed
	}
	m.keeper.Heard()   // what it is about is seen now
	if m.left.Load() { // it may have been about that
		return 0, protocol.ErrClosed
	}
	b := batch{ds: ds}
	in := &m.inbox
	if in.asked++; in.asked%others != 0 && len(in.queue) > 0 {
		m.read(&b, in.queue[0])
	}
	if b.n > 0 {
		return b.n, nil
	}
	tally := m.keeper.Tally()
	m.look()
	in.rotate()
	for len(in.queue) > 0 && b.n == 0 {
		c := in.queue[0]
		m.read(&b, c)
		if b.n == 0 {
			m.retire(in.dequeue())
		}
	}
	for b.n < len(ds) && len(in.strange) > 0 {
		ds[b.n] = protocol.Delivery{Data: in.strange[0]}
		in.strange = in.strange[1:]
		b.n++
	}
	switch {
	case b.n > 0 || len(ds) == 0:
		return b.n, nil
	case m.sealed:
		return 0, io.EOF
	}
	// Senders that were killed before they had counted are made good.
	if in.shut == "" { // else there is more than is known
		m.keeper.RecountSince(tally, in.msgs, in.bytes)
	}
	m.keeper.Rest()
	return 0, nil
}

// read fetches from one sender. A ring that is broken is taken out of the way.
func (m *mailbox) read(b *batch, c *chain) {
	msgs, bytes := b.n, b.bytes
	for {
		broken, err := c.read(b, m.frameLimit)
		if broken == nil {
			break
		}
		m.setAside(broken, err)
	}
	for _, err := range b.bad {
		m.notice(err)
	}
	b.bad = nil
	m.inbox.msgs += b.n - msgs
	m.inbox.bytes += b.bytes - bytes
}

// look queues the senders that have something new. A ring that cannot be opened
// is tried again at each look.
func (m *mailbox) look() {
	if made := m.marks.Load(wordMade); made != m.inbox.made || m.inbox.shut != "" {
		shut := ""
		if err := m.list(false); err != nil {
			shut = err.Error()
			if shut != m.inbox.shut { // or it was told
				m.notice(err)
			}
		}
		m.inbox.made, m.inbox.shut = made, shut
	}
	m.marks.take(func(s slot) {
		for _, c := range m.inbox.slots[s] {
			m.inbox.enqueue(c)
		}
	})
}
