package ipcmgr

import (
	"context"
	"errors"
	"iter"
)

func (c *client) Receive(ctx context.Context) (*Message, error) {
	m, err := c.nextMessage(ctx, always, c.implicit(&c.in.received))
	return m, c.errorTo("receive", "", err)
}

func (c *client) Poll(ctx context.Context, max int) ([]*Message, error) {
	h := c.implicit(&c.in.received)
	c.in.acknowledge(h)
	var ms []*Message
	for len(ms) < max {
		m, err := c.nextMessage(ctx, never, nil)
		if err != nil && len(ms) == 0 {
			return nil, c.errorTo("poll", "", err)
		}
		if errors.Is(err, ErrTerminated) {
			c.in.terminateAgain()
		}
		if m == nil { // none is ready, or the next call gives the error again
			break
		}
		ms = append(ms, m)
	}
	c.in.take(h, ms)
	return ms, nil
}

func (c *client) Messages(ctx context.Context) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		h := c.implicit(new(hand))
		for {
			m, err := c.nextMessage(ctx, untilTerminated, h)
			if err != nil {
				if !errors.Is(err, ErrTerminated) {
					yield(nil, c.errorTo("receive", "", err))
				}
				return
			}
			if !yield(m, nil) {
				return
			}
		}
	}
}

func (c *client) Next(ctx context.Context) (*Message, error) {
	m, err := c.nextMessage(ctx, always, lending)
	return m, c.errorTo("receive", "", err)
}

func (c *client) TryNext(ctx context.Context) (*Message, error) {
	m, err := c.nextMessage(ctx, never, lending)
	return m, c.errorTo("receive", "", err)
}

// implicit is h, unless all acknowledging is left to Message.Ack.
func (c *client) implicit(h *hand) *hand {
	if c.opts.manual {
		return nil
	}
	return h
}

// patience says how long a call waits for a message.
type patience int

const (
	never           patience = iota // Poll
	untilTerminated                 // a Messages loop
	always                          // Receive
)

// nextMessage acknowledges what is in h, and hands out one message. For a call
// that does not wait, nil means that none is ready, or that another goroutine
// waits for the next one.
func (c *client) nextMessage(ctx context.Context, p patience, h *hand) (*Message, error) {
	for {
		if err := c.over(ctx); err != nil {
			c.in.acknowledge(h)
			return nil, err
		}
		if m := c.in.next(h); m != nil {
			if m.terminate {
				c.in.wake.wake(errWoken) // for the other loops
				return nil, ErrTerminated
			}
			return m, nil
		}
		ready, err := c.refill(ctx, p)
		switch {
		case err != nil:
			return nil, err
		case !ready && p == untilTerminated:
			return nil, ErrTerminated
		case !ready:
			return nil, nil
		}
	}
}

// over says why a call is not to begin, if it is not.
func (c *client) over(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if c.closing.Err() != nil {
		return ErrClosed
	}
	return nil
}

// refill fetches, unless another goroutine did while it waited for its turn.
// It says whether it is worth looking for a message again.
func (c *client) refill(ctx context.Context, p patience) (bool, error) {
	wait := c.in.waits(p)
	if taken, err := c.takeTurn(ctx, wait); !taken {
		return false, err
	}
	var strange []*CorruptError
	defer func() {
		<-c.in.turn
		for _, e := range strange { // their callback may call the client
			c.tellCorrupt(e)
		}
	}()
	if c.in.any() {
		return true, nil
	}
	if err := c.flush(ctx); err != nil {
		return false, err
	}
	fetchCtx := ctx
	if wait {
		fetchCtx = c.in.wake.context(ctx)
		if c.closing.Err() != nil { // left before it could wake this context
			return false, ErrClosed
		}
		if c.in.any() || !c.in.waits(p) {
			return true, nil
		}
	}
	var n int
	var err error
	n, strange, err = c.fetch(fetchCtx, wait)
	if errors.Is(err, errWoken) {
		return true, nil
	}
	return err == nil && (wait || n > 0), err
}

// takeTurn makes this goroutine the one that fetches. Another one may be at it
// for long, so what was acknowledged is put on record before the wait.
func (c *client) takeTurn(ctx context.Context, wait bool) (bool, error) {
	select {
	case c.in.turn <- struct{}{}:
		return true, nil
	default:
	}
	if err := c.flushBeside(ctx); err != nil || !wait {
		return false, err
	}
	select {
	case c.in.turn <- struct{}{}:
		return true, nil
	case <-ctx.Done():
		return false, context.Cause(ctx)
	case <-c.closing.Done():
		return false, ErrClosed
	}
}
