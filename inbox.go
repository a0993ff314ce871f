package ipcmgr

import (
	"context"
	"sync"

	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/ipcmgr/ipcmgr/serializer"
)

// fetchSize is how many messages one Fetch asks for: enough that its cost is
// shared by many, few enough that a crash redelivers few.
const fetchSize = 256

// inbox holds what a client has fetched until it is handed out and
// acknowledged.
type inbox struct {
	mu       sync.Mutex
	queue    []*Message // fetched, in order
	next     int        // the first of queue that is still there
	back     []*Message // put back, the last one first
	out      Message    // ring of those handed out; out itself is its anchor
	received []*Message // of out: by Receive or Poll, acknowledged by the next
	done     []*Message // acknowledged, but not on record yet
	spare    []*Message // the slice that done was before, empty

	terminated bool // the owner asked to terminate

	turn chan struct{} // held by the one goroutine that fetches
	wake waker

	// Used by who holds turn.
	ds      []protocol.Delivery
	env     serializer.Envelope
	senders map[string]string // by themselves
	ids     []byte            // of one batch
	idEnds  []int
}

func (in *inbox) init() {
	in.turn = make(chan struct{}, 1)
	in.out.prev, in.out.next = &in.out, &in.out
	in.ds = make([]protocol.Delivery, fetchSize)
	in.senders = map[string]string{}
}

// pop takes the next message: what was put back comes before what was fetched.
func (in *inbox) pop() *Message {
	in.mu.Lock()
	defer in.mu.Unlock()
	var m *Message
	if n := len(in.back); n > 0 {
		m = in.back[n-1]
		in.back[n-1] = nil
		in.back = in.back[:n-1]
	} else if in.next < len(in.queue) {
		m = in.queue[in.next]
		in.queue[in.next] = nil
		in.next++
	} else {
		return nil
	}
	if m.ser == nil { // terminate: nobody holds it, nobody counts it
		in.terminated = true
		in.settle(m)
		return m
	}
	m.state = handed
	m.prev, m.next = in.out.prev, &in.out
	m.prev.next, m.next.prev = m, m
	return m
}

// ready says whether pop has something.
func (in *inbox) ready() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.back) > 0 || in.next < len(in.queue)
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
	in.back = append(in.back, &Message{state: acknowledged})
}

// settle moves a message to those that flush puts on record. in.mu is held.
func (in *inbox) settle(m *Message) {
	if m.state == acknowledged {
		return
	}
	in.unlink(m)
	m.state = acknowledged
	in.done = append(in.done, m)
}

func (in *inbox) unlink(m *Message) {
	if m.next != nil {
		m.prev.next, m.next.prev = m.next, m.prev
		m.prev, m.next = nil, nil
	}
}

// acknowledge is the implicit one, of a message that may have been settled by
// other means.
func (in *inbox) acknowledge(m *Message) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if m.state == handed {
		in.settle(m)
	}
}

func (in *inbox) noteReceived(m *Message) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.received = append(in.received, m)
}

func (in *inbox) acknowledgeReceived(manual bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for n, m := range in.received {
		if m.state == handed && !manual {
			in.settle(m)
		}
		in.received[n] = nil
	}
	in.received = in.received[:0]
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
		err = c.acknowledgeNow(ctx, done...)
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

// acknowledgeNow puts messages on record and counts them.
func (c *client) acknowledgeNow(ctx context.Context, ms ...*Message) error {
	ds := deliveries.Get().(*[]protocol.Delivery)
	for _, m := range ms {
		*ds = append(*ds, m.delivery)
	}
	err := c.mb.Ack(ctx, *ds)
	clear(*ds)
	*ds = (*ds)[:0]
	deliveries.Put(ds)
	if err != nil {
		return err
	}
	c.in.mu.Lock()
	for _, m := range ms {
		m.forget()
	}
	c.in.mu.Unlock()
	c.counts.read(ms)
	return nil
}

// forget lets go of what a settled message may not be asked for any more.
func (m *Message) forget() { m.delivery, m.content, m.extra = protocol.Delivery{}, nil, nil }
