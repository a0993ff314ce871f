package service

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"iter"
	"strconv"
	"sync"
	"time"

	"github.com/ipcmgr/ipcmgr"
)

// Caller is a client that can make calls, any number at once. It is the client
// that it was made of, and everything that is not an answer to a call is still
// received through it: all that hands out messages works as on any client, also
// while calls are under way. Receive no longer from the client underneath.
//
// No goroutine receives: whoever waits for an answer or a message does, for all
// others too. What nobody asks for while calls are made is kept, unacknowledged,
// and counts against the mailbox's limits.
type Caller struct {
	ipcmgr.Client
	prefix string // of the ids of its requests

	turn chan struct{} // held by the one who receives
	news chan struct{} // holds a token when something is kept

	mu       sync.Mutex
	calls    map[string]*call // under way, by the id of the request
	made     uint64
	late     int64
	kept     []item
	received []*ipcmgr.Message // by Receive or Poll: the next acknowledges them
	closed   bool
	mourning bool // a call under way has lost its service

	terminated chan struct{} // closed once the owner's request was handed out

	receiving bool // somebody is, with the context receive
	receive   context.Context
	wake      context.CancelCauseFunc // of it

	peers watcher
}

// item is a message that answers no call of ours, with what is known of it.
type item struct {
	m *ipcmgr.Message // nil: the owner asks to terminate
	head
}

// NewCaller gives the Caller of a client: there is one until it is closed, and
// it should be, or be left with its own Suspend or Disconnect. The client must
// not be receiving.
func NewCaller(c ipcmgr.Client) *Caller {
	if made, ok := c.(*Caller); ok {
		return made
	}
	return callers.of(c)
}

func newCaller(c ipcmgr.Client) *Caller {
	var random [8]byte
	_, _ = rand.Read(random[:]) // it never fails
	return &Caller{
		Client: c, prefix: hex.EncodeToString(random[:]) + "-",
		turn: make(chan struct{}, 1), news: make(chan struct{}, 1),
		calls: map[string]*call{}, terminated: make(chan struct{}),
	}
}

// CallerStats counts what became of calls.
type CallerStats struct {
	Calls uint64 // made
	Late  int64  // answers that came when nobody waited for them any more, and were dropped
	Open  int    // calls under way
}

// CallStats gives them.
func (c *Caller) CallStats() CallerStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return CallerStats{Calls: c.made, Late: c.late, Open: len(c.calls)}
}

// Next is that of the client, for messages that are no answers.
func (c *Caller) Next(ctx context.Context) (*ipcmgr.Message, error) {
	r := newReader(ctx, nil)
	defer r.close()
	it, err := c.next(r)
	return it.m, err
}

// TryNext is that of the client, for messages that are no answers.
func (c *Caller) TryNext(ctx context.Context) (*ipcmgr.Message, error) {
	if err := c.lookFor(ctx, 1); err != nil {
		return nil, err
	}
	it, err := c.pop()
	return it.m, err
}

// Receive is that of the client, for messages that are no answers.
func (c *Caller) Receive(ctx context.Context) (*ipcmgr.Message, error) {
	c.acknowledgeReceived(ctx)
	m, err := c.Next(ctx)
	if err == nil {
		c.noteReceived(m)
	}
	return m, err
}

// Messages is that of the client, for messages that are no answers.
func (c *Caller) Messages(ctx context.Context) iter.Seq2[*ipcmgr.Message, error] {
	return func(yield func(*ipcmgr.Message, error) bool) {
		r := newReader(ctx, nil)
		r.terminated = c.terminated
		defer r.close()
		for {
			it, err := c.next(r)
			if errors.Is(err, ipcmgr.ErrTerminated) {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
			implicit := it.m.HandOn()
			if !yield(it.m, nil) {
				return
			}
			if implicit {
				settle(ctx, it.m)
			}
		}
	}
}

// Poll is that of the client, for messages that are no answers.
func (c *Caller) Poll(ctx context.Context, max int) ([]*ipcmgr.Message, error) {
	c.acknowledgeReceived(ctx)
	if err := c.lookFor(ctx, max); err != nil {
		return nil, err
	}
	var ms []*ipcmgr.Message
	for len(ms) < max {
		it, err := c.pop()
		if err != nil && len(ms) > 0 { // the next call tells it: this one has messages to return
			c.keepFirst(item{})
			break
		}
		if err != nil {
			return nil, err
		}
		if it.m == nil {
			break
		}
		c.noteReceived(it.m)
		ms = append(ms, it.m)
	}
	return ms, nil
}

// Suspend closes the caller and suspends the client.
func (c *Caller) Suspend(ctx context.Context, until time.Time) error {
	c.Close()
	return c.Client.Suspend(ctx, until)
}

// Disconnect closes the caller and disconnects the client.
func (c *Caller) Disconnect(ctx context.Context, handler func(*ipcmgr.Message) error) error {
	c.Close()
	return c.Client.Disconnect(ctx, handler)
}

// Close ends the calls under way with ErrClosed and puts back what was received
// and not asked for. The client stays connected, and may be received from again.
func (c *Caller) Close() {
	c.mu.Lock()
	was := c.closed
	c.closed = true
	c.wakeReader(ipcmgr.ErrClosed)
	c.mu.Unlock()
	if was {
		return
	}
	defer callers.forget(c)
	c.peers.stop()
	c.turn <- struct{}{} // who receives has stopped
	defer func() { <-c.turn }()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.calls {
		c.settleCall(p, ipcmgr.ErrClosed)
	}
	for n := len(c.kept) - 1; n >= 0; n-- {
		if m := c.kept[n].m; m != nil {
			_ = m.Requeue() // it fails only once the client has left
		}
	}
	c.kept = nil
}

// nextID names a request. c.mu is held.
func (c *Caller) nextID() string {
	c.made++
	return c.prefix + strconv.FormatUint(c.made, 36)
}

// noteReceived leaves it to the next Receive or Poll to acknowledge m.
func (c *Caller) noteReceived(m *ipcmgr.Message) {
	if !m.HandOn() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.received = append(c.received, m)
}

func (c *Caller) acknowledgeReceived(ctx context.Context) {
	c.mu.Lock()
	ms := c.received
	c.received = nil
	c.mu.Unlock()
	for _, m := range ms {
		settle(ctx, m)
	}
}

// settle acknowledges a message that the program may have settled itself. What
// could not be acknowledged comes again, as after a crash.
func settle(ctx context.Context, m *ipcmgr.Message) {
	_ = m.Ack(context.WithoutCancel(ctx))
}
