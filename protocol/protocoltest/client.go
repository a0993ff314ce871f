package protocoltest

import (
	"errors"
	"io"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// client is a mailbox that is connected in the suite's own process. Its methods
// end the test when they fail.
type client struct {
	protocol.Mailbox
	s     *scene
	id    string
	store protocol.Store
}

// send delivers letters numbered from first, as one batch.
func (c *client) send(to string, first, count int) {
	c.s.Helper()
	n, err := c.Deliver(c.s.ctx, to, letters(c.id, to, first, count, 0), true)
	if err != nil || n != count {
		c.s.Fatalf("deliver %d letters to %s: %d accepted, %v", count, to, n, err)
	}
}

// fetch gives exactly n messages, waiting for them.
func (c *client) fetch(n int) []protocol.Delivery {
	c.s.Helper()
	ds := make([]protocol.Delivery, n)
	for have := 0; have < n; {
		k, err := c.Fetch(c.s.ctx, ds[have:], true)
		if err != nil {
			c.s.Fatalf("%s: fetch, with %d of %d: %v", c.id, have, n, err)
		}
		if k < 1 || k > n-have {
			c.s.Fatalf("%s: a waiting fetch for %d gave %d", c.id, n-have, k)
		}
		have += k
	}
	return ds
}

// read gives the letters in ds.
func (c *client) read(ds []protocol.Delivery) []letter {
	c.s.Helper()
	ls := make([]letter, len(ds))
	for i, d := range ds {
		l, err := readLetter(d)
		c.s.must(err, c.id)
		c.s.must(checkFrom(l, c.s.features.Proves), c.id)
		ls[i] = l
	}
	return ls
}

// expect fetches count letters and notes them in g, acknowledging each lot
// before it asks for more.
func (c *client) expect(g *ledger, count int) {
	c.s.Helper()
	for count > 0 {
		ds := make([]protocol.Delivery, count)
		n, err := c.Fetch(c.s.ctx, ds, true)
		if n == 0 || err != nil {
			c.s.Fatalf("%s: fetch, with %d still to come: %d, %v", c.id, count, n, err)
		}
		for _, l := range c.read(ds[:n]) {
			c.s.must(g.note(l), c.id)
		}
		c.ack(ds[:n])
		count -= n
	}
}

func (c *client) ack(ds []protocol.Delivery) {
	c.s.Helper()
	c.s.must(c.Ack(c.s.ctx, ds), c.id+": acknowledge")
}

// drain fetches and acknowledges until the sealed mailbox has given everything,
// and counts.
func (c *client) drain() int {
	c.s.Helper()
	got := 0
	ds := make([]protocol.Delivery, 64)
	for {
		n, err := c.Fetch(c.s.ctx, ds, true)
		if n > 0 {
			got += n
			c.ack(ds[:n])
			continue
		}
		if !errors.Is(err, io.EOF) {
			c.s.Fatalf("%s: draining gave %v, want io.EOF", c.id, err)
		}
		return got
	}
}

// empty holds that nothing can be fetched.
func (c *client) empty() {
	c.s.Helper()
	n, err := c.Fetch(c.s.ctx, make([]protocol.Delivery, 8), false)
	if n != 0 || err != nil {
		c.s.Fatalf("%s: fetching from an empty mailbox gave %d, %v", c.id, n, err)
	}
}

func (c *client) leave() {
	c.s.Helper()
	c.s.must(c.Leave(c.s.ctx, protocol.Departure{}), c.id+": leave")
}

func (c *client) suspend() {
	c.s.Helper()
	c.s.must(c.Leave(c.s.ctx, protocol.Departure{Suspend: true}), c.id+": suspend")
}

// seqs are the numbers of letters, and those of them that are marked.
func seqs(ls []letter) (all, marked []int) {
	for _, l := range ls {
		all = append(all, l.Seq)
		if l.Redelivered {
			marked = append(marked, l.Seq)
		}
	}
	return all, marked
}

// span counts from first to last, both included.
func span(first, last int) []int {
	var ns []int
	for n := first; n <= last; n++ {
		ns = append(ns, n)
	}
	return ns
}
