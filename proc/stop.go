package proc

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/ipcmgr/ipcmgr"
)

// stopWithin is how long Stop takes at most, when its context has no deadline.
const stopWithin = 10 * time.Second

// Stop ends the child: it asks the client to terminate, then signals SIGTERM to
// the process group, then SIGKILL. The first has half of the time until ctx's
// deadline (of ten seconds if there is none), the second half of the
// rest. When ctx ends, the group is killed at once. Stop returns when the child has
// ended, in any case: nil if its exit status is 0, an *ExitError otherwise, which
// says what ended it.
//
// The request to terminate comes from the store's owner, or from a client of
// this process; a parent that is neither begins with SIGTERM.
func (c *Child) Stop(ctx context.Context) error {
	limit, cancel := context.WithTimeout(ctx, stopWithin)
	if _, has := ctx.Deadline(); has {
		cancel()
		limit, cancel = context.WithCancel(ctx)
	}
	defer cancel()
	for _, press := range []func(context.Context) error{c.ask, c.term} {
		if c.endsAfter(limit, press) {
			return c.err
		}
	}
	_ = c.Kill() // it fails if the child has just ended
	<-c.Done()
	return c.err
}

// endsAfter presses the child and says whether it has ended within half of the
// time that is left. If it could not be pressed, there is nothing to wait for.
func (c *Child) endsAfter(ctx context.Context, press func(context.Context) error) bool {
	deadline, _ := ctx.Deadline()
	ctx, cancel := context.WithTimeout(ctx, time.Until(deadline)/2)
	defer cancel()
	defer context.AfterFunc(c.ended, cancel)()
	if press(ctx) == nil {
		<-ctx.Done()
	}
	return c.ended.Err() != nil
}

const errNobodyAsks = sentinel("this process neither owns the store nor has a client")

// ask sends the request to terminate.
func (c *Child) ask(ctx context.Context) error {
	err := c.store.TerminatePeer(ctx, c.id)
	if !errors.Is(err, ipcmgr.ErrNotOwner) {
		return err
	}
	for _, mine := range c.store.Clients() {
		return mine.Send(ctx, c.id, map[string]any{"terminate": true})
	}
	return errNobodyAsks
}

func (c *Child) term(context.Context) error { return c.Signal(syscall.SIGTERM) }
