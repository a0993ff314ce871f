package ipcmgr

import (
	"context"
	"errors"
	"iter"
)

func (c *client) Receive(ctx context.Context) (*Message, error) {
	c.in.acknowledgeReceived(c.opts.manual)
	m, err := c.nextMessage(ctx, always)
	if err != nil {
		return nil, c.errorTo("receive", "", err)
	}
	c.in.noteReceived(m)
	return m, nil
}

func (c *client) Poll(ctx context.Context, max int) ([]*Message, error) {
	c.in.acknowledgeReceived(c.opts.manual)
	var ms []*Message
	for len(ms) < max {
		m, err := c.nextMessage(ctx, never)
		if err != nil && len(ms) == 0 {
			return nil, c.errorTo("poll", "", err)
		}
		if errors.Is(err, ErrTerminated) {
			c.in.terminateAgain()
		}
		if m == nil { // none is ready, or the next call gives the error again
			break
		}
		c.in.noteReceived(m)
		ms = append(ms, m)
	}
	return ms, nil
}

func (c *client) Messages(ctx context.Context) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		for {
			m, err := c.nextMessage(ctx, untilTerminated)
			if errors.Is(err, ErrTerminated) {
				return
			}
			if err != nil {
				yield(nil, c.errorTo("receive", "", err))
				return
			}
			if !yield(m, nil) {
				return
			}
			if !c.opts.manual {
				c.in.acknowledge(m)
			}
		}
	}
}

func (c *client) Next(ctx context.Context) (*Message, error) {
	m, err := c.nextMessage(ctx, always)
	return m, c.errorTo("receive", "", err)
}

func (c *client) TryNext(ctx context.Context) (*Message, error) {
	m, err := c.nextMessage(ctx, never)
	return m, c.errorTo("receive", "", err)
}

// patience says how long a call waits for a message.
type patience int

const (
	never           patience = iota // Poll
	untilTerminated                 // a Messages loop
	always                          // Receive
)

// nextMessage hands out one message. For a call that does not wait, nil means
// that none is ready, or that another goroutine waits for the next one.
func (c *client) nextMessage(ctx context.Context, p patience) (*Message, error) {
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if c.closing.Err() != nil {
			return nil, ErrClosed
		}
		if m := c.in.pop(); m != nil {
			if m.ser == nil {
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
	if c.in.ready() {
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
		if c.in.ready() || !c.in.waits(p) {
			return true, nil
		}
	}
	n, err := c.mb.Fetch(fetchCtx, c.in.ds, wait)
	if errors.Is(err, errWoken) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	strange = c.take(ctx, c.in.ds[:n])
	return wait || n > 0, nil
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
