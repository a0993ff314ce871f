//go:build unix

package unixsocket

import (
	"context"
	"time"
)

// grace is how long nobody need call Fetch before the pump takes in what
// arrives. It is longer than a program needs between two calls of Fetch, and
// shorter than a sender minds.
const grace = 5 * time.Millisecond

// take waits for the turn to read the sockets. Turns are given in the order in
// which they are asked for.
func (m *Mailbox) take(ctx context.Context) error {
	select {
	case m.turn <- struct{}{}:
		return nil
	default:
	}
	m.wanted.Add(1)
	defer m.wanted.Add(-1)
	m.poller.wake()
	select {
	case m.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-m.over.Done():
		return context.Cause(m.over)
	}
}

// release gives the turn back. If nobody takes it, the pump does.
func (m *Mailbox) release() {
	<-m.turn
	if m.blocked.Load() > 0 {
		m.kick()
	} else if !m.timed.Load() && m.timed.CompareAndSwap(false, true) {
		// A timer that runs is left alone: setting one costs as much as a message.
		m.rest.Reset(grace)
	}
}

// rested is called when the grace is over. If Fetch was called meanwhile, it
// begins again.
func (m *Mailbox) rested() {
	if m.fetched.Swap(false) {
		m.rest.Reset(grace)
		return
	}
	m.timed.Store(false)
	m.kick()
}

// kick makes the pump look whether somebody has the turn.
func (m *Mailbox) kick() {
	select {
	case m.pumping <- struct{}{}:
	default:
	}
}

// pump takes in what arrives while nobody is in Fetch.
func (m *Mailbox) pump() {
	for {
		select {
		case <-m.pumping:
		case <-m.over.Done():
			return
		}
		select {
		case m.turn <- struct{}{}:
		default:
			continue // whoever has it sees to the pump afterwards
		}
		m.takeIn()
		m.release()
	}
}

// takeIn reads until somebody else wants the turn, or Fetch is called again and
// may not need it: more than is asked for would be read, from memory that has
// grown cold when it is.
func (m *Mailbox) takeIn() {
	for waited := false; !m.drained; {
		got := m.readLast()
		if !got && waited {
			got = m.readReady()
		}
		waited = false
		if m.wanted.Load() > 0 || m.closed.Load() || m.fetched.Load() && m.blocked.Load() == 0 {
			return
		}
		if got {
			continue
		}
		m.poller.clear()
		if m.wanted.Load() > 0 || m.closed.Load() {
			return
		}
		m.poller.wait()
		waited = true
	}
}
