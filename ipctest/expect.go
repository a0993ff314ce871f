package ipctest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/ipcmgr/ipcmgr"
)

// Expect waits for the next message from one peer, and fails the test unless
// its content is the wanted one, with what came instead and what else is in
// the mailbox. It fails at once when a worker has crashed unasked. Messages of
// others stay where they are. The message is acknowledged; what is returned is a
// copy.
//
// The content is compared as it travels, whole: a struct, and a map with the
// same keys, are the same. Anything stands for every content.
//
// One goroutine at a time expects from a client. On a client that Connect gave,
// messages that were passed over are handed out unmarked; on another they are
// marked as redelivered.
func Expect(t testing.TB, c ipcmgr.Client, from string, content any) *ipcmgr.Message {
	t.Helper()
	e := begin(t, c)
	defer e.end()
	w := e.want(content)
	for {
		m, err := c.Next(e.ctx)
		if err != nil {
			e.fail("%q expected from %q:\n\t%v\nbut nothing came from it: %v", c.ID(), from, w, err)
		}
		e.taken = append(e.taken, m)
		if m.From != from {
			continue
		}
		if !w.matches(m) {
			e.other(m)
			e.fail("%q expected from %q (-), and got (+):\n%s", c.ID(), from, indent(w.difference(m)))
		}
		return e.accept(m)[0]
	}
}

// Arrival is a message that a test expects.
type Arrival struct {
	From    string
	Content any // as Expect compares it, or Anything
}

// From is short for an Arrival.
func From(id string, content any) Arrival { return Arrival{id, content} }

// ExpectExactly waits until all of the messages have come, and fails the test
// if another one comes before the last of them, or is in the mailbox then. Of one
// sender they come in the order given; between senders there is no order.
// Without any, the mailbox is to be empty now.
func ExpectExactly(t testing.TB, c ipcmgr.Client, all ...Arrival) {
	t.Helper()
	expectAll(t, c, all, true)
}

// ExpectAnyOrder is ExpectExactly without an order.
func ExpectAnyOrder(t testing.TB, c ipcmgr.Client, all ...Arrival) {
	t.Helper()
	expectAll(t, c, all, false)
}

func expectAll(t testing.TB, c ipcmgr.Client, all []Arrival, ordered bool) {
	t.Helper()
	e := begin(t, c)
	defer e.end()
	b := &bill{ordered: ordered}
	for _, a := range all {
		b.open = append(b.open, item{a.From, e.want(a.Content)})
	}
	var matched []*ipcmgr.Message
	for len(b.open) > 0 {
		m, err := c.Next(e.ctx)
		if err != nil {
			e.fail("%q still expects:%s\nbut nothing came: %v", c.ID(), b, err)
		}
		e.taken = append(e.taken, m)
		near, ok := b.settle(m)
		if !ok {
			e.other(m)
			for _, done := range matched {
				e.other(done)
			}
			if near == nil {
				e.fail("%q did not expect:\n\t%s\nbut still expects:%s", c.ID(), oneLine(m), b)
			}
			e.fail("%q expected from %q (-), and got (+):\n%s\nit still expects:%s", c.ID(), m.From, indent(near.difference(m)), b)
		}
		matched = append(matched, m)
	}
	if m, err := c.TryNext(e.ctx); m != nil {
		e.taken = append(e.taken, m)
		for _, done := range matched {
			e.other(done)
		}
		e.fail("%q got all %d that it expected, and more", c.ID(), len(all))
	} else if err != nil {
		e.fail("%q got all %d that it expected, and then: %v", c.ID(), len(all), err)
	}
	e.accept(matched...)
}

// bill is what is still expected.
type bill struct {
	open    []item
	ordered bool
}

type item struct {
	from    string
	content *wanted
}

// settle takes the item off that a message matches. If there is none, near is
// what could have come from its sender, if that is one thing.
func (b *bill) settle(m *ipcmgr.Message) (near *wanted, ok bool) {
	candidates := 0
	for n, i := range b.open {
		if i.from != m.From {
			continue
		}
		if i.content.matches(m) {
			b.open = append(b.open[:n:n], b.open[n+1:]...)
			return nil, true
		}
		near = i.content
		if candidates++; b.ordered {
			return near, false
		}
	}
	if candidates > 1 {
		return nil, false
	}
	return near, false
}

func (b *bill) String() string {
	if len(b.open) == 0 {
		return " nothing"
	}
	var lines []string
	for _, i := range b.open {
		lines = append(lines, fmt.Sprintf("\n\tfrom %q: %v", i.from, i.content))
	}
	return strings.Join(shorten(lines), "")
}

// expectation is a call of Expect under way.
type expectation struct {
	t      testing.TB
	c      ipcmgr.Client
	ctx    context.Context
	cancel context.CancelFunc
	taken  []*ipcmgr.Message        // out of the mailbox, to be put back
	shown  map[*ipcmgr.Message]bool // of them, those that a failure shows by itself
}

func begin(t testing.TB, c ipcmgr.Client) *expectation {
	e := &expectation{t: t, c: c, shown: map[*ipcmgr.Message]bool{}}
	e.ctx, e.cancel = sceneOf(t, c.Store()).waiting(t)
	return e
}

func (e *expectation) want(content any) *wanted {
	e.t.Helper()
	w, err := want(e.c.Store(), content)
	if err != nil {
		e.t.Fatalf("ipctest: %v", err)
	}
	return w
}

// other leaves a message out of the list of what else is there.
func (e *expectation) other(m *ipcmgr.Message) { e.shown[m] = true }

// accept acknowledges messages, and gives copies of them.
func (e *expectation) accept(ms ...*ipcmgr.Message) []*ipcmgr.Message {
	e.t.Helper()
	var kept []*ipcmgr.Message
	for _, m := range ms {
		k, err := m.Keep()
		if err == nil {
			err = m.Ack(e.ctx)
		}
		if err != nil {
			e.t.Fatalf("ipctest: %v", err)
		}
		kept = append(kept, k)
		e.shown[m] = true
	}
	rest := e.taken[:0]
	for _, m := range e.taken {
		if !e.shown[m] {
			rest = append(rest, m)
		}
	}
	e.taken = rest
	return kept
}

// end puts back what was not accepted.
func (e *expectation) end() {
	defer e.cancel()
	if c, ok := e.c.(interface{ putBack([]*ipcmgr.Message) }); ok {
		c.putBack(e.taken)
		return
	}
	new(marks).putBack(e.taken)
}

// maxShown bounds how many messages a failure takes out to show them.
const maxShown = 1000

// fail fails the test, with what else is in the mailbox and who is there.
func (e *expectation) fail(format string, args ...any) {
	e.t.Helper()
	ctx := context.WithoutCancel(e.ctx)
	for len(e.taken) < maxShown {
		m, err := e.c.TryNext(ctx)
		if m == nil || err != nil {
			break
		}
		e.taken = append(e.taken, m)
	}
	var others []string
	for _, m := range e.taken {
		if !e.shown[m] {
			others = append(others, "\n\t"+oneLine(m))
		}
	}
	text := fmt.Sprintf(format, args...)
	if len(others) > 0 {
		text += "\nalso in the mailbox:" + strings.Join(shorten(others), "")
	} else {
		text += "\nnothing else is in the mailbox"
	}
	if peers, err := e.c.Store().Peers(ctx); err == nil {
		var who []string
		for _, p := range peers {
			who = append(who, fmt.Sprintf("%q %v", p.ID, p.State))
		}
		text += "\npeers: " + strings.Join(who, ", ")
	}
	e.t.Fatal("ipctest: " + text)
}

func indent(text string) string { return "\t" + strings.ReplaceAll(text, "\n", "\n\t") }
