package ipctest

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/ipcmgr/ipcmgr"
)

// Faults says what a client that Inject gives does to the messages that it
// receives: what a slow machine, a crash or another schedule could do to them
// as well. Nothing is dropped: the audit of the store stays what it was.
type Faults struct {
	// Delay holds each message back before it is handed out.
	Delay time.Duration
	// Duplicate makes every Nth message come again, marked as redelivered, as
	// if the client had crashed after the work and before the acknowledgement.
	// A message that was acknowledged with Ack never comes again.
	Duplicate int
	// Shuffle changes the order between senders. That of each sender stays.
	Shuffle bool
	// Seed chooses the order: the same choices for the same arrivals.
	Seed uint64
	// KillAt kills the worker's process with SIGKILL when the Nth message is
	// handed out, before the function sees it. Redelivered ones are not
	// counted, so that a worker that is started again gets on.
	KillAt int
}

// Inject gives a client with faults over another, which is not to be used any
// more. It must not have been connected with ManualAck if messages are to be
// duplicated. A worker calls it first in its function; KillAt is for
// workers only, and ExpectExit for who started them.
func Inject(c ipcmgr.Client, f Faults) ipcmgr.Client {
	i := &injected{faults: f, rand: rand.New(rand.NewPCG(f.Seed, 0))}
	i.view = view{c, i.restore}
	return i
}

type injected struct {
	view
	marks
	faults Faults

	state      sync.Mutex
	rand       *rand.Rand
	handed     int               // messages, those that are redelivered left out
	shuffled   int               // messages that were put back in another order and are still to come
	again      []*ipcmgr.Message // of Receive and Poll, to come again at the next
	terminated bool              // shuffling has met the request to terminate
}

func (c *injected) Receive(ctx context.Context) (*ipcmgr.Message, error) {
	c.prepare(ctx)
	if c.mustEnd() { // look, but do not wait
		if ms, err := c.poll(ctx, 1); err != nil || len(ms) > 0 {
			return append(ms, nil)[0], err
		}
	}
	m, err := c.view.Receive(ctx)
	return c.lend(c.hand(ctx, m, err))
}

func (c *injected) Poll(ctx context.Context, max int) ([]*ipcmgr.Message, error) {
	c.prepare(ctx)
	return c.poll(ctx, max)
}

func (c *injected) poll(ctx context.Context, max int) ([]*ipcmgr.Message, error) {
	ms, err := c.view.Poll(ctx, max)
	if err == nil && len(ms) == 0 && max > 0 && c.endOnce() {
		return nil, c.errTerminated()
	}
	for n, m := range ms {
		if _, err := c.lend(c.hand(ctx, m, nil)); err != nil {
			c.putBack(ms[n+1:])
			if n == 0 {
				return nil, err
			}
			return ms[:n], nil
		}
	}
	return ms, err
}

func (c *injected) Next(ctx context.Context) (*ipcmgr.Message, error) {
	c.shuffle(ctx)
	if c.mustEnd() {
		if m, err := c.TryNext(ctx); m != nil || err != nil {
			return m, err
		}
	}
	m, err := c.view.Next(ctx)
	m, _, err = c.hand(ctx, m, err)
	return m, err
}

func (c *injected) TryNext(ctx context.Context) (*ipcmgr.Message, error) {
	c.shuffle(ctx)
	m, err := c.view.TryNext(ctx)
	if m == nil && err == nil && c.endOnce() {
		return nil, c.errTerminated()
	}
	m, _, err = c.hand(ctx, m, err)
	return m, err
}

func (c *injected) Messages(ctx context.Context) iter.Seq2[*ipcmgr.Message, error] {
	return func(yield func(*ipcmgr.Message, error) bool) {
		c.prepare(ctx)
		for m, err := range c.view.Messages(ctx) {
			m, twice, err := c.hand(ctx, m, err)
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(m, nil) {
				return
			}
			if twice {
				_ = m.Requeue() // it fails if the message was acknowledged, and so cannot come again
			}
			c.shuffle(ctx)
		}
	}
}

// prepare comes before a call that may acknowledge what an earlier one handed
// out.
func (c *injected) prepare(ctx context.Context) {
	c.state.Lock()
	again := c.again
	c.again = nil
	c.state.Unlock()
	for _, m := range slices.Backward(again) {
		_ = m.Requeue() // as above
	}
	c.shuffle(ctx)
}

// hand does to a message what the faults say. twice says that it is one to
// come again.
func (c *injected) hand(ctx context.Context, m *ipcmgr.Message, err error) (_ *ipcmgr.Message, twice bool, _ error) {
	if m == nil || err != nil {
		return nil, false, err
	}
	if err := pause(ctx, c.faults.Delay); err != nil {
		c.putBack([]*ipcmgr.Message{m})
		return nil, false, err
	}
	c.state.Lock()
	c.shuffled = max(0, c.shuffled-1)
	kill := false
	if !m.Redelivered {
		c.handed++
		kill = c.handed == c.faults.KillAt
		twice = c.faults.Duplicate > 0 && c.handed%c.faults.Duplicate == 0
	}
	c.state.Unlock()
	if kill {
		return nil, false, c.die()
	}
	return m, twice, nil
}

// lend notes a message that is to come again at the next call.
func (c *injected) lend(m *ipcmgr.Message, twice bool, err error) (*ipcmgr.Message, error) {
	if twice {
		c.state.Lock()
		c.again = append(c.again, m)
		c.state.Unlock()
	}
	return m, err
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// window is how many messages are shuffled together, at most.
const window = 64

// shuffle puts what is ready in another order, unless what it shuffled before
// is still to come.
func (c *injected) shuffle(ctx context.Context) {
	if !c.faults.Shuffle {
		return
	}
	c.state.Lock()
	defer c.state.Unlock()
	if c.shuffled > 0 {
		return
	}
	var ms []*ipcmgr.Message
	for len(ms) < window {
		m, err := c.view.TryNext(ctx)
		if errors.Is(err, ipcmgr.ErrTerminated) {
			c.terminated = true
		}
		if m == nil || err != nil { // another error comes again to who asks next
			break
		}
		ms = append(ms, m)
	}
	c.shuffled = len(ms)
	c.putBack(interleave(ms, c.rand))
}

// interleave chooses one sender after the other.
func interleave(ms []*ipcmgr.Message, r *rand.Rand) []*ipcmgr.Message {
	var senders [][]*ipcmgr.Message
	slices.SortStableFunc(ms, func(a, b *ipcmgr.Message) int { return cmp.Compare(a.From, b.From) })
	for len(ms) > 0 {
		n := 1
		for n < len(ms) && ms[n].From == ms[0].From {
			n++
		}
		senders = append(senders, ms[:n])
		ms = ms[n:]
	}
	var out []*ipcmgr.Message
	for len(senders) > 0 {
		n := r.IntN(len(senders))
		out = append(out, senders[n][0])
		if senders[n] = senders[n][1:]; len(senders[n]) == 0 {
			senders = slices.Delete(senders, n, n+1)
		}
	}
	return out
}

// mustEnd says whether a call must not wait any more, because shuffling has
// taken the request to terminate out of the mailbox.
func (c *injected) mustEnd() bool {
	c.state.Lock()
	defer c.state.Unlock()
	return c.terminated
}

// endOnce is mustEnd, for the call that tells it.
func (c *injected) endOnce() bool {
	c.state.Lock()
	defer c.state.Unlock()
	was := c.terminated
	c.terminated = false
	return was
}

func (c *injected) errTerminated() error {
	return &ipcmgr.Error{Op: "receive", Store: c.Store().Info().Redacted(), ID: c.ID(), Err: ipcmgr.ErrTerminated}
}

var errNotAWorker = errors.New("ipctest: KillAt is for workers: this process runs the test")

// die does not return where the worker is a process.
func (c *injected) die() error {
	if crash := crashes(c.Store()); crash != nil {
		return errors.Join(crash(c.ID()), errKilled)
	}
	if !inWorker.Load() {
		return errNotAWorker
	}
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return err
	}
	if err := self.Kill(); err != nil {
		return err
	}
	select {}
}
