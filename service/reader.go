package service

import (
	"context"
	"errors"
	"slices"

	"github.com/ipcmgr/ipcmgr"
)

// errWoken interrupts who receives: there is something else to do first.
var errWoken = errors.New("woken")

// reader is one goroutine's part in receiving.
type reader struct {
	ctx        context.Context
	call       *call           // whose answer it waits for; nil: it asks for messages
	terminated <-chan struct{} // of a loop: it ends where it would have to wait
	stop       func() bool
}

func newReader(ctx context.Context, p *call) *reader { return &reader{ctx: ctx, call: p} }

func (r *reader) close() {
	if r.stop != nil {
		r.stop()
	}
}

// begin gives the context to receive with, or nil when there is something else
// to do first. It is the same for all, for as long as nobody is woken: a new
// one for each call would cost as much as a system call. So the end of the
// reader's own context is a waking, too.
func (r *reader) begin(c *Caller) (context.Context, error) {
	if r.stop == nil {
		r.stop = context.AfterFunc(r.ctx, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.wakeReader(errWoken)
		})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return nil, ipcmgr.ErrClosed
	case r.ctx.Err() != nil:
		return nil, context.Cause(r.ctx)
	case c.mourning, r.call == nil && len(c.kept) > 0:
		return nil, nil
	case r.call != nil && r.call.settled(), closed(r.terminated): // before there was a reader to be woken
		return nil, nil
	}
	if c.receive == nil || c.receive.Err() != nil {
		c.receive, c.wake = context.WithCancelCause(context.Background())
	}
	c.receiving = true
	return c.receive, nil
}

// next waits for a message that answers no call of ours.
func (c *Caller) next(r *reader) (item, error) {
	for {
		if r.ctx.Err() != nil {
			return item{}, context.Cause(r.ctx)
		}
		if c.keeps(1) || closed(r.terminated) { // what was put back comes first, and a loop ends after what is ready
			if err := c.lookFor(r.ctx, 1); err != nil {
				return item{}, err
			}
		}
		if it, err := c.pop(); it.m != nil || err != nil {
			return it, err
		}
		if closed(r.terminated) {
			return item{}, ipcmgr.ErrTerminated
		}
		select {
		case <-c.news:
			continue
		case <-r.terminated:
			continue
		case <-r.ctx.Done():
			continue
		case c.turn <- struct{}{}:
		}
		err := c.read(r)
		<-c.turn
		if err != nil {
			return item{}, err
		}
	}
}

func closed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// read receives one message and gives it to whom it is for. The turn is held.
func (c *Caller) read(r *reader) error {
	if did, err := c.bury(r.ctx); did || err != nil { // it may have been our own call
		return err
	}
	ctx, err := r.begin(c)
	if ctx == nil {
		return err
	}
	m, err := c.Client.Next(ctx)
	c.mu.Lock()
	c.receiving = false
	c.mu.Unlock()
	if errors.Is(err, errWoken) {
		return nil
	}
	return c.dispatch(r.ctx, m, err)
}

// lookFor takes in what is ready until n messages are kept, and always one that
// is new: what was put back comes before it. Another goroutine that receives
// takes in more by itself.
func (c *Caller) lookFor(ctx context.Context, n int) error {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	default:
		return nil
	}
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	if closed {
		return ipcmgr.ErrClosed
	}
	for {
		m, err := c.Client.TryNext(ctx)
		if m == nil && err == nil {
			return nil
		}
		if err := c.dispatch(ctx, m, err); err != nil {
			return err
		}
		if c.keeps(n) && (m == nil || !m.Redelivered) {
			return nil
		}
	}
}

// drain gives out what is ready, without waiting. The turn is held.
func (c *Caller) drain(ctx context.Context) error {
	for {
		m, err := c.Client.TryNext(ctx)
		if m == nil && err == nil {
			return nil
		}
		if err := c.dispatch(ctx, m, err); err != nil {
			return err
		}
	}
}

// dispatch gives a message to the call that it answers, or to those who ask for
// messages.
func (c *Caller) dispatch(ctx context.Context, m *ipcmgr.Message, err error) error {
	if errors.Is(err, ipcmgr.ErrTerminated) {
		c.keepLast(item{})
		return nil
	}
	if err != nil {
		return err
	}
	h := headOf(m)
	if h.ResponseID == "" {
		c.keepLast(item{m, h})
		return nil
	}
	c.mu.Lock()
	p := c.calls[h.ResponseID]
	if p == nil || p.service != m.From {
		c.late++
		c.mu.Unlock()
	} else {
		delete(c.calls, p.id)
		c.mu.Unlock()
		p.answered(m, h)
	}
	settle(ctx, m)
	return nil
}

// keepLast keeps a message for who asks. One that was put back comes before
// those that were not handed out yet.
func (c *Caller) keepLast(it item) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := len(c.kept)
	if it.m != nil && it.m.Redelivered {
		at = 0
		for at < len(c.kept) && c.kept[at].m != nil && c.kept[at].m.Redelivered {
			at++
		}
	}
	c.kept = slices.Insert(c.kept, at, it)
	c.announce()
}

// keepFirst is for what was popped and not used.
func (c *Caller) keepFirst(it item) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept = slices.Insert(c.kept, 0, it)
	c.announce()
}

func (c *Caller) keeps(n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.kept) >= n
}

// pop takes the first of what is kept; an empty item if there is nothing.
// ErrTerminated.
func (c *Caller) pop() (item, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.kept) > 0 {
		it := c.kept[0]
		c.kept[0] = item{}
		if c.kept = c.kept[1:]; len(c.kept) > 0 {
			c.announce()
		}
		if it.m == nil {
			if !closed(c.terminated) {
				close(c.terminated)
			}
			c.wakeReader(errWoken) // it may be in a loop
			return item{}, ipcmgr.ErrTerminated
		}
		if _, err := it.m.Content(); err == nil { // else RequeueAll has put it back, and it comes again
			return it, nil
		}
	}
	return item{}, nil
}

// announce tells one of those who wait for a message. c.mu is held.
func (c *Caller) announce() {
	select {
	case c.news <- struct{}{}:
	default:
	}
}

// wakeReader interrupts who receives. c.mu is held.
func (c *Caller) wakeReader(why error) {
	if c.receiving {
		c.wake(why)
	}
}
