package protocoltest

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/ipcmgr/ipcmgr/protocol"
)

var errStopped = errors.New("protocoltest: the flow was stopped")

// flow is a client that goes on delivering letters, numbered from 0 and waiting
// while the receiver is full, until one is refused or it is stopped.
type flow struct {
	sent atomic.Int64 // accepted so far
	stop context.CancelCauseFunc
	done chan struct{}
	err  error // why it ended; read it when done
}

func (c *client) flow(to string, batch, size int) *flow {
	ctx, stop := context.WithCancelCause(c.s.ctx)
	f := &flow{done: make(chan struct{}), stop: stop}
	c.s.Cleanup(f.end)
	go func() {
		defer close(f.done)
		for f.err == nil {
			var n int
			n, f.err = c.Deliver(ctx, to, letters(c.id, to, int(f.sent.Load()), batch, size), true)
			f.sent.Add(int64(n))
		}
	}()
	return f
}

// end stops the flow and waits for its end.
func (f *flow) end() {
	f.stop(errStopped)
	<-f.done
}

// fill delivers single letters without waiting until the receiver is full, and
// stays so for a while: what is under way may make room once more. It gives the
// number accepted. A receiver that is slow to take in may look full before it
// is.
func (c *client) fill(to string, first, size int) int {
	c.s.Helper()
	most := c.s.bound(1, size)
	sent := 0
	for dry := 0; dry < 20; {
		if first+sent > most {
			c.s.Fatalf("a receiver that acknowledges nothing was sent %d letters of %d bytes, want at most %d", first+sent, size, most)
		}
		n, err := c.Deliver(c.s.ctx, to, letters(c.id, to, first+sent, 1, size), false)
		sent += n
		if err == nil {
			dry = 0
			continue
		}
		c.s.wantErr(err, protocol.ErrFull, "deliver without waiting")
		dry++
		pause()
	}
	return sent
}

// bound is how many letters a receiver that acknowledges nothing may be sent
// in batches of a size.
func (s *scene) bound(batch, size int) int {
	set := s.store.Settings()
	return min(set.MaxPending, (set.MaxBytes+size-1)/size) + batch + s.h.Buffered/size
}

// room limits what a mailbox holds.
func room(messages, bytes int) func(*protocol.Settings) {
	return func(s *protocol.Settings) {
		s.MaxPending, s.MaxBytes, s.MaxFrame = messages, bytes, min(s.MaxFrame, bytes)
	}
}

// gone says whether err tells of a peer that has left, or is leaving.
func gone(err error) bool {
	return errors.Is(err, protocol.ErrPeerGone) || errors.Is(err, protocol.ErrNoPeer)
}
