package ipcmgr

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"sync"
	"time"

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

	turn chan struct{} // held by the one goroutine that fetches
	wake waker

	// Used by who holds turn.
	ds    []protocol.Delivery
	env   serializer.Envelope
	names map[string]string
}

func (in *inbox) init() {
	in.turn = make(chan struct{}, 1)
	in.out.prev, in.out.next = &in.out, &in.out
	in.ds = make([]protocol.Delivery, fetchSize)
	in.names = map[string]string{}
}

func (c *client) Receive(ctx context.Context) (*Message, error) {
	c.in.acknowledgeReceived(c.opts.manual)
	m, err := c.nextMessage(ctx, true)
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
		m, err := c.nextMessage(ctx, false)
		if errors.Is(err, ErrTerminated) && len(ms) > 0 {
			c.in.terminateAgain()
			break
		}
		if err != nil {
			return ms, c.errorTo("poll", "", err)
		}
		if m == nil {
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
			m, err := c.nextMessage(ctx, true)
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

// nextMessage hands out one message. Without wait, nil means that none is
// ready, or that another goroutine waits for the next one.
func (c *client) nextMessage(ctx context.Context, wait bool) (*Message, error) {
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if c.closing.Err() != nil {
			return nil, ErrClosed
		}
		if m := c.in.pop(); m != nil {
			if m.ser == nil {
				return nil, ErrTerminated
			}
			return m, nil
		}
		got, err := c.refill(ctx, wait)
		if err != nil {
			return nil, err
		}
		if !got && !wait {
			return nil, nil
		}
	}
}

// refill fetches, unless another goroutine did while it waited for its turn.
// It says whether there is something to hand out.
func (c *client) refill(ctx context.Context, wait bool) (bool, error) {
	select {
	case c.in.turn <- struct{}{}:
	default:
		if !wait {
			return false, nil
		}
		select {
		case c.in.turn <- struct{}{}:
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case <-c.closing.Done():
			return false, ErrClosed
		}
	}
	var strange []*CorruptError
	defer func() {
		<-c.in.turn
		for _, e := range strange { // their callback may call the client
			c.tellCorrupt(e)
		}
	}()
	if c.in.waiting() {
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
		if c.in.waiting() {
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
	return n > 0, nil
}

// take decodes what was fetched into the queue. What is not a message is set
// aside and returned.
func (c *client) take(ctx context.Context, ds []protocol.Delivery) (strange []*CorruptError) {
	ms := make([]Message, len(ds)) // one allocation for all
	in := &c.in
	in.mu.Lock()
	in.queue, in.next = in.queue[:0], 0
	in.mu.Unlock()
	for n := range ds {
		m := &ms[n]
		if err := c.open(m, &ds[n]); err != nil {
			strange = append(strange, c.setAside(ctx, ds[n], err))
			continue
		}
		in.mu.Lock()
		in.queue = append(in.queue, m)
		in.mu.Unlock()
	}
	clear(ds)
	return strange
}

// open decodes one delivery.
func (c *client) open(m *Message, d *protocol.Delivery) error {
	in := &c.in
	env := &in.env
	if err := c.store.ser.ParseEnvelope(d.Data, env); err != nil {
		return err
	}
	from := in.name(env.From)
	if d.From != "" && d.From != from {
		return fmt.Errorf("it claims to be from %q, but %q sent it", from, d.From)
	}
	if err := protocol.CheckID(from); err != nil && from != protocol.Guard {
		return fmt.Errorf("sender: %w", err)
	}
	if len(env.Content) > c.store.max {
		return fmt.Errorf("%w: its content has %d bytes", ErrTooLarge, len(env.Content))
	}
	*m = Message{
		ID: string(env.ID), From: from, To: c.id,
		Time: time.UnixMicro(env.Micros), Broadcast: env.Broadcast, Redelivered: d.Redelivered,
		content: env.Content, ser: c.store.ser,
		client: c, delivery: *d, state: ready,
	}
	if isTerminate(c.store.ser, env.Content) {
		m.ser = nil // handed out as ErrTerminated only
		return nil
	}
	if len(env.Headers) > 0 {
		m.Headers = make(map[string]string, len(env.Headers))
		for _, h := range env.Headers {
			m.Headers[h.Key] = h.Value
		}
	}
	if len(env.Extra) > 0 {
		m.extra = append(m.extra, env.Extra...)
	}
	return nil
}

// name returns the string for an id that is met again and again.
func (in *inbox) name(id []byte) string {
	if s, ok := in.names[string(id)]; ok {
		return s
	}
	if len(in.names) > 4096 {
		clear(in.names)
	}
	s := string(id)
	in.names[s] = s
	return s
}

// setAside rejects what is not a message.
func (c *client) setAside(ctx context.Context, d protocol.Delivery, reason error) *CorruptError {
	e := &CorruptError{ID: c.id, From: d.From, Data: append([]byte{}, d.Data[:min(len(d.Data), 4<<10)]...), Size: len(d.Data), Err: reason}
	if err := c.mb.Reject(ctx, d, e); err != nil {
		e.Err = fmt.Errorf("%w (and setting it aside failed: %w)", reason, err)
	}
	c.counts.count(corrupt, d.From, 1)
	return e
}

func (c *client) tellCorrupt(e *CorruptError) {
	if c.opts.corrupt != nil {
		c.opts.corrupt(e)
		return
	}
	c.opts.log.Warn("ipcmgr: corrupt message", "client", c.id, "store", c.store.info.Redacted(), "from", e.From, "size", e.Size, "err", e.Err)
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
		in.settle(m)
		return m
	}
	m.state = handed
	m.prev, m.next = in.out.prev, &in.out
	m.prev.next, m.next.prev = m, m
	return m
}

// waiting says whether pop has something.
func (in *inbox) waiting() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.back) > 0 || in.next < len(in.queue)
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
	in.done = nil
	in.mu.Unlock()
	if len(done) == 0 {
		return nil
	}
	if err := c.acknowledgeNow(ctx, done); err != nil {
		in.mu.Lock()
		in.done = append(done, in.done...)
		in.mu.Unlock()
		return err
	}
	return nil
}

// acknowledgeNow puts messages on record and counts them.
func (c *client) acknowledgeNow(ctx context.Context, ms []*Message) error {
	ds := make([]protocol.Delivery, len(ms))
	for n, m := range ms {
		ds[n] = m.delivery
	}
	if err := c.mb.Ack(ctx, ds); err != nil {
		return err
	}
	c.in.mu.Lock()
	for _, m := range ms {
		m.delivery, m.content, m.extra = protocol.Delivery{}, nil, nil
	}
	c.in.mu.Unlock()
	for _, m := range ms {
		if m.ser != nil {
			c.counts.count(read, m.From, 1)
		}
	}
	return nil
}

// errWoken interrupts a Fetch because something was put back.
var errWoken = errors.New("woken")

// waker gives a Fetch that waits a context that ends with the caller's, and
// when a message is put back or the client leaves. It keeps the context for as
// long as the caller comes with the same one.
type waker struct {
	mu     sync.Mutex
	parent context.Context
	ctx    context.Context
	cancel context.CancelCauseFunc
}

func (w *waker) context(parent context.Context) context.Context {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ctx != nil {
		if w.ctx.Err() == nil && reflect.TypeOf(parent).Comparable() && w.parent == parent {
			return w.ctx
		}
		w.cancel(nil)
	}
	w.parent = parent
	w.ctx, w.cancel = context.WithCancelCause(parent)
	return w.ctx
}

// wake interrupts the Fetch that waits, if there is one.
func (w *waker) wake(why error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cancel != nil {
		w.cancel(why)
	}
}
