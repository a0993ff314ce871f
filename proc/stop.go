package proc

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/ipcmgr/ipcmgr"
)

// stopWithin is how long it takes at most to stop a child, or to make it leave for
// a while, without a deadline.
var stopWithin = 10 * time.Second

// Stop ends the child: it asks the client to terminate, then signals SIGTERM to
// the process group, then SIGKILL. The first has half of the time until ctx's
// deadline (of ten seconds if there is none), the second half of the
// rest. When ctx ends, the group is killed at once. Stop returns when the child has
// ended, in any case: nil if its exit status is 0, an *ExitError otherwise, which
// says what ended it.
//
// The request to terminate comes from the store's owner, or from a client of
// this process; a parent that is neither begins with SIGTERM.
func (c *Child) Stop(ctx context.Context) error { return c.press(ctx, c.ask, c.term) }

// makeWay ends the child for another one that is to take up its mailbox. Not
// with a signal, of which a wrapper would die, and with it the group; and not by
// asking it to terminate, for it would disconnect. Where no mailbox stays
// in any case, the child shall at least read it.
func (c *Child) makeWay(ctx context.Context) error {
	if !c.store.Features().Suspends {
		return c.Stop(ctx)
	}
	return c.press(ctx, c.recall)
}

// press ends the child by the means that are given, one after the other, and
// then by killing it.
func (c *Child) press(ctx context.Context, means ...func(context.Context) error) error {
	limit, cancel := context.WithTimeout(ctx, stopWithin)
	if _, has := ctx.Deadline(); has {
		cancel()
		limit, cancel = context.WithCancel(ctx)
	}
	defer cancel()
	for _, try := range means {
		if c.endsAfter(limit, try) {
			return c.err
		}
	}
	_ = c.Kill() // it fails if the child has just ended
	<-c.Done()
	return c.err
}

// endsAfter tries to end the child and says whether it has ended within half of
// the time that is left. If try failed, there is nothing to wait for.
func (c *Child) endsAfter(ctx context.Context, try func(context.Context) error) bool {
	deadline, _ := ctx.Deadline()
	ctx, cancel := context.WithTimeout(ctx, time.Until(deadline)/2)
	defer cancel()
	defer context.AfterFunc(c.ended, cancel)()
	if try(ctx) == nil {
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

const errOutlives = sentinel("a child that outlives its parent does not hear of it")

// recall tells a child that follows to make way for another one.
func (c *Child) recall(context.Context) error {
	if c.pipe == nil {
		return errOutlives
	}
	_, err := c.pipe.Write([]byte{1})
	return err
}

func (c *Child) term(context.Context) error { return c.Signal(syscall.SIGTERM) }
