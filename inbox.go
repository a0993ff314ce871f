package ipcmgr

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/ipcmgr/ipcmgr/serializer"
)

// inbox holds what a client has fetched until it is handed out and
// acknowledged.
type inbox struct {
	mu    sync.Mutex
	ready []Message  // fetched, in order: the rest of what one Fetch gave
	back  []*Message // put back, the last one first
	out   []*Message // handed out, in order, with some that are not out any more
	held  int        // how many of them are
	done  []run      // acknowledged, but not on record yet
	spare []run      // the slice that done was before, empty
	slots slots      // of a batch that needs them no more

	pinned   int           // decodings under way: what they read is not settled meanwhile
	unpinned chan struct{} // closed when one of them is over; nil unless somebody waits

	received hand // by Receive and Poll

	terminated bool     // the owner asked to terminate
	failed     *Message // on which the handler of Disconnect failed

	turn chan struct{} // held by the one goroutine that fetches
	wake waker

	// Used by who holds turn.
	batch   *batch // what is being fetched into
	env     serializer.Envelope
	senders map[string]string // by themselves
	from    string            // the last of them
	ids     strings.Builder   // of the messages of batch
}

// hand is what the next call of the same kind acknowledges.
type hand struct{ messages []*Message }

// lending is the hand of calls that leave all acknowledging to Message.Ack,
// whoever leaves.
var lending = new(hand)

func (in *inbox) init() {
	in.turn = make(chan struct{}, 1)
	in.senders = map[string]string{}
}

// next acknowledges what is in h, and takes the next message into it: what was
// put back comes before what was fetched. h may be nil.
func (in *inbox) next(h *hand) *Message {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.release(h)
	var m *Message
	if n := len(in.back); n > 0 {
		m = in.back[n-1]
		in.back[n-1] = nil
		in.back = in.back[:n-1]
	} else if len(in.ready) > 0 {
		m = &in.ready[0]
		in.ready = in.ready[1:]
	} else {
		return nil
	}
	if m.terminate { // nobody holds it, nobody counts it
		in.terminated = true
		in.settle(m)
		return m
	}
	in.handOut(m)
	switch h {
	case nil:
	case lending:
		m.lent = true
	default:
		h.messages = append(h.messages, m)
	}
	return m
}

func (in *inbox) handOut(m *Message) {
	if len(in.out) > 2*in.held+largeBatch {
		in.out = slices.DeleteFunc(in.out, func(m *Message) bool { return m.state != handed })
	}
	m.state = handed
	in.held++
	in.out = append(in.out, m)
}

// takeBack is for a message that is handed out no more.
func (in *inbox) takeBack(m *Message, state messageState) {
	m.state = state
	if in.held--; in.held == 0 {
		clear(in.out)
		in.out = in.out[:0]
	}
}

// settle moves a message to those that flush puts on record. in.mu is held.
func (in *inbox) settle(m *Message) {
	if m.state == handed {
		in.takeBack(m, acknowledged)
	}
	m.state = acknowledged
	if m.batch != nil {
		in.done = add(in.done, m)
	}
}

// release acknowledges what is in h and was not settled by other means. in.mu
// is held.
func (in *inbox) release(h *hand) {
	if h == nil || h == lending {
		return
	}
	for n, m := range h.messages {
		if m.state == handed {
			in.settle(m)
		}
		h.messages[n] = nil
	}
	h.messages = h.messages[:0]
}

// acknowledge is release for who does not hold in.mu.
func (in *inbox) acknowledge(h *hand) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.release(h)
}

// take leaves it to the next call to acknowledge ms.
func (in *inbox) take(h *hand, ms []*Message) {
	if h == nil {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	h.messages = append(h.messages, ms...)
}

// any says whether next has something.
func (in *inbox) any() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.back) > 0 || len(in.ready) > 0
}

// waits says whether a call is to wait when nothing is ready. A request to
// terminate is one message, and yet it ends every loop of the client.
func (in *inbox) waits(p patience) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return p == always || p == untilTerminated && !in.terminated
}

// terminateAgain makes the next call end with ErrTerminated: this one has
// messages to return first.
func (in *inbox) terminateAgain() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.back = append(in.back, &Message{terminate: true})
}

func (in *inbox) unpin(m *Message) {
	in.mu.Lock()
	defer in.mu.Unlock()
	m.batch.messages[m.slot].pins--
	in.pinned--
	if in.unpinned != nil {
		close(in.unpinned)
		in.unpinned = nil
	}
}

// awaitUnpinned waits until nobody decodes what is in runs; nobody can begin to,
// once it is not handed out any more. Without runs it waits for all.
func (in *inbox) awaitUnpinned(ctx context.Context, runs ...run) error {
	for {
		in.mu.Lock()
		over := in.pinned == 0 || len(runs) > 0 && !slices.ContainsFunc(runs, run.pinned)
		if !over && in.unpinned == nil {
			in.unpinned = make(chan struct{})
		}
		changed := in.unpinned
		in.mu.Unlock()
		if over {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// flush puts on record what was acknowledged.
func (c *client) flush(ctx context.Context) error {
	in := &c.in
	in.mu.Lock()
	done := in.done
	in.done, in.spare = in.spare, nil
	in.mu.Unlock()
	var err error
	if len(done) > 0 {
		err = c.record(ctx, done...)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if err != nil {
		in.done = append(done, in.done...)
		return err
	}
	clear(done)
	in.spare = done[:0]
	return nil
}

// flushBeside is flush for who does not hold the turn.
func (c *client) flushBeside(ctx context.Context) error {
	c.counting.RLock()
	defer c.counting.RUnlock()
	if c.closing.Err() != nil {
		return ErrClosed
	}
	return c.flush(ctx)
}

// deliveries are slices for Ack.
var deliveries = sync.Pool{New: func() any { return new([]protocol.Delivery) }}

// record puts messages on record as acknowledged, and counts them.
func (c *client) record(ctx context.Context, runs ...run) error {
	ds := runs[0].deliveries()
	if len(runs) > 1 {
		all := deliveries.Get().(*[]protocol.Delivery)
		defer func() {
			clear(*all)
			*all = (*all)[:0]
			deliveries.Put(all)
		}()
		for _, r := range runs {
			*all = append(*all, r.deliveries()...)
		}
		ds = *all
	}
	if err := c.in.awaitUnpinned(ctx, runs...); err != nil {
		return err
	}
	if err := c.mb.Ack(ctx, ds); err != nil {
		return err
	}
	c.counts.read(runs)
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	for _, r := range runs {
		c.in.forget(r)
	}
	return nil
}
