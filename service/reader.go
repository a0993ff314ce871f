package service

import (
	"context"
	"errors"

	"github.com/ipcmgr/ipcmgr"
)

// errWoken interrupts who receives: there is something else to do first.
var errWoken = errors.New("woken")

// reader is one goroutine's part in receiving.
type reader struct {
	ctx  context.Context
	call *call // whose answer it waits for; nil: it asks for messages
	stop func() bool
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
	case c.mourning, r.call == nil && len(c.ordinary) > 0:
		return nil, nil
	case r.call != nil && r.call.settled(): // before there was a reader to be woken
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
		if it, ok := c.pop(); ok {
			if it.m == nil {
				return item{}, ipcmgr.ErrTerminated
			}
			return it, nil
		}
		select {
		case <-c.news:
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
		c.keep(item{})
		return nil
	}
	if err != nil {
		return err
	}
	h := headOf(m)
	if h.ResponseID == "" {
		c.keep(item{m, h})
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

func (c *Caller) keep(it item) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ordinary = append(c.ordinary, it)
	c.announce()
}

// putBack is for what was popped and not used.
func (c *Caller) putBack(it item) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ordinary = append([]item{it}, c.ordinary...)
	c.announce()
}

func (c *Caller) pop() (item, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.ordinary) == 0 {
		return item{}, false
	}
	it := c.ordinary[0]
	c.ordinary[0] = item{}
	c.ordinary = c.ordinary[1:]
	if len(c.ordinary) > 0 {
		c.announce()
	}
	return it, true
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
