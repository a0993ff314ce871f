package protocoltest

import (
	"testing"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// connecting is about the table of Connect: what stands under an id, against
// what is asked.
func connecting(t *testing.T, h Harness) {
	h.run(t, "Free", connectFree)
	h.run(t, "Active", connectActive)
	if h.Protocol.Features().Suspends {
		h.run(t, "Suspended", connectSuspended)
	}
	h.run(t, "Crashed", connectCrashed)
	h.run(t, "Left", connectLeft)
	h.run(t, "ManyOfOneHandle", manyOfOneHandle)
	h.run(t, "AnyID", anyID)
}

// refused holds that a Connect fails, in this process and in another.
func (s *scene) refused(id string, mode protocol.Mode, want error) {
	s.Helper()
	_, err := s.store.Connect(s.ctx, options(id, mode))
	s.wantErr(err, want, "connect")
	a := s.actor()
	if r := a.try(order{Op: "connect", ID: id, Mode: mode}); !r.is(want) {
		s.Fatalf("connect from elsewhere: %q, want an error that matches %q", r.Err, want)
	}
}

// came holds what a client knows of its own Connect.
func (c *client) came(epoch uint64, found protocol.State) {
	c.s.Helper()
	got := c.Found()
	if got == 0 {
		got = protocol.Gone
	}
	if c.Epoch() != epoch || got != found {
		c.s.Fatalf("%s: epoch %d, found %v; want %d, %v", c.id, c.Epoch(), got, epoch, found)
	}
}

// A free id is taken by New and by Resume; there is nothing to reconnect to.
func connectFree(s *scene) {
	s.refused("a", protocol.Reconnect, protocol.ErrNoPeer)
	s.connect("a", protocol.New).came(1, protocol.Gone)
	s.connect("b", protocol.Resume).came(1, protocol.Gone)
}

// Nobody takes what is held, in this process or another.
func connectActive(s *scene) {
	s.connect("here", protocol.New)
	s.player("there", protocol.New)
	for _, id := range []string{"here", "there"} {
		for _, m := range []protocol.Mode{protocol.New, protocol.Reconnect, protocol.Resume} {
			s.refused(id, m, protocol.ErrPeerActive)
		}
	}
}

// What is suspended is taken up by Reconnect and Resume, and not by New.
func connectSuspended(s *scene) {
	a := s.connect("a", protocol.New)
	for epoch, m := range []protocol.Mode{protocol.Reconnect, protocol.Resume} {
		a.suspend()
		s.refused("a", protocol.New, protocol.ErrPeerSuspended)
		a = s.connect("a", m)
		a.came(uint64(epoch)+2, protocol.Suspended)
	}
}

// What has crashed likewise.
func connectCrashed(s *scene) {
	for epoch, m := range []protocol.Mode{protocol.Reconnect, protocol.Resume} {
		a := s.actor()
		a.connect("a", protocol.Resume)
		a.kill()
		s.state(s.store, "a", protocol.Crashed)
		s.refused("a", protocol.New, protocol.ErrPeerCrashed)
		c := s.connect("a", m)
		c.came(uint64(2*epoch)+2, protocol.Crashed)
		if epoch == 0 {
			c.leave()
		}
	}
}

// An id that was left for good is free, and goes on counting its epochs.
func connectLeft(s *scene) {
	s.connect("a", protocol.New).leave()
	s.refused("a", protocol.Reconnect, protocol.ErrNoPeer)
	a := s.connect("a", protocol.New)
	a.came(2, protocol.Gone)
	a.leave()
	s.connect("a", protocol.Resume).came(3, protocol.Gone)
}

// One handle has any number of clients.
func manyOfOneHandle(s *scene) {
	ids := []string{"a", "b", "c", "d"}
	var cs []*client
	for _, id := range ids {
		m, err := s.store.Connect(s.ctx, options(id, protocol.New))
		s.must(err, "connect")
		cs = append(cs, &client{Mailbox: m, s: s, id: id, store: s.store})
	}
	for _, c := range cs {
		for _, to := range ids {
			c.send(to, 0, 3)
		}
	}
	for _, c := range cs {
		c.expect(s.ledger(c.id), 3*len(cs))
		c.leave()
	}
}

// Every id that CheckID lets through names a client of its own.
func anyID(s *scene) {
	long := make([]byte, protocol.MaxID)
	for i := range long {
		long[i] = 'x'
	}
	ids := []string{
		"a", "A", "a b", "a/b", `a\b`, "a:b", "a\nb", "a\x00b", "ä", "日本", "-", "h-", "h-0123456789",
		"a.ready", "a.tmp", "a.lock", "lock", "%2F", "a%2Fb", "~", "a.", "con", "NUL", string(long), string(long[:300]), string(long[1:]) + "y",
	}
	var cs []*client
	for _, id := range ids {
		s.must(protocol.CheckID(id), "the suite's own id")
		m, err := s.store.Connect(s.ctx, options(id, protocol.New))
		s.must(err, "connect")
		cs = append(cs, &client{Mailbox: m, s: s, id: id, store: s.store})
	}
	for _, c := range cs {
		s.state(s.store, c.id, protocol.Active)
		for _, to := range []string{ids[0], c.id} {
			n, err := c.Deliver(s.ctx, to, []protocol.Frame{frame([]byte(c.id + " to " + to))}, true)
			if n != 1 || err != nil {
				s.Fatalf("%q: deliver to %q: %d, %v", c.id, to, n, err)
			}
		}
	}
	for i, c := range cs {
		want := c.id + " to " + c.id
		if i == 0 {
			continue
		}
		if d := c.fetch(1)[0]; string(d.Data) != want || d.From != c.id && (s.features.Proves || d.From != "") {
			s.Errorf("%q got %q from %q", c.id, d.Data, d.From)
		}
		c.leave()
	}
}
