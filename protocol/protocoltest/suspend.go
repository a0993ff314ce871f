package protocoltest

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// suspending is about clients that leave with the intent to return.
func suspending(t *testing.T, h Harness) {
	if !h.Protocol.Features().Suspends {
		h.run(t, "Refused", suspendRefused)
		return
	}
	h.run(t, "KeepsAndAccepts", suspendKeepsAndAccepts)
	h.run(t, "PutsBack", suspendPutsBack)
	h.run(t, "PutsBackAgain", suspendPutsBackAgain)
	if h.Protocol.Features().Redelivers {
		h.run(t, "KeepsMarks", suspendKeepsMarks)
	}
	h.run(t, "Elsewhere", suspendElsewhere)
	h.run(t, "Deadline", suspendDeadline)
	h.run(t, "Overdue", suspendOverdue)
	h.run(t, "KeepsAttributes", suspendKeepsAttributes)
}

// Where a protocol cannot suspend, the client is refused and stays connected.
func suspendRefused(s *scene) {
	a := s.connect("a", protocol.New)
	err := a.Leave(s.ctx, protocol.Departure{Suspend: true})
	s.wantErr(err, errors.ErrUnsupported, "suspend")
	s.state(s.store, "a", protocol.Active)
	a.send("a", 0, 2)
	a.expect(s.ledger("a"), 2)
	a.leave()
}

// Messages from before and during a suspension arrive after it, in order,
// unmarked, each once.
func suspendKeepsAndAccepts(s *scene) {
	a, b := s.connect("a", protocol.New), s.connect("b", protocol.New)
	g := s.ledger("b")
	a.send("b", 0, 10)
	b.expect(g, 3)
	b.suspend()
	s.state(a.store, "b", protocol.Suspended)
	s.wantUnread("b", 7)
	a.send("b", 10, 10)
	s.wantUnread("b", 17)
	b = s.connect("b", protocol.Reconnect)
	b.came(2, protocol.Suspended)
	a.send("b", 20, 10)
	b.expect(g, 27)
	b.empty()
}

// What was fetched and is put back is first of its sender's, and marked;
// nothing else is.
func suspendPutsBack(s *scene) {
	a, b := s.connect("a", protocol.New), s.connect("b", protocol.New)
	a.send("b", 0, 10)
	ds := b.fetch(6)
	b.ack([]protocol.Delivery{ds[0], ds[1], ds[3]})
	s.must(b.Leave(s.ctx, protocol.Departure{Suspend: true, Back: []protocol.Delivery{ds[2], ds[4], ds[5]}}), "suspend")
	s.wantUnread("b", 7)
	a.send("b", 10, 1)
	b = s.connect("b", protocol.Reconnect)
	ds = b.fetch(8)
	all, marked := seqs(b.read(ds))
	if !slices.Equal(all, []int{2, 4, 5, 6, 7, 8, 9, 10}) || !slices.Equal(marked, []int{2, 4, 5}) {
		s.Fatalf("fetched %v, marked %v; 2, 4 and 5 were put back", all, marked)
	}
	b.ack(ds)
	b.empty()
}

// What a killed holder had in hand is marked for whoever gets it, however many
// hold the mailbox between without fetching it.
func suspendKeepsMarks(s *scene) {
	a, b := s.connect("a", protocol.New), s.player("b", protocol.New)
	a.send("b", 0, 6)
	b.do(order{Op: "fetch", Count: 3, Wait: true})
	b.kill()
	s.state(s.store, "b", protocol.Crashed)
	again := s.connect("b", protocol.Reconnect)
	again.suspend()
	again = s.connect("b", protocol.Reconnect)
	ds := again.fetch(1)
	s.must(again.Leave(s.ctx, protocol.Departure{Suspend: true, Back: ds}), "suspend")
	again = s.connect("b", protocol.Reconnect)
	ds = again.fetch(6)
	all, marked := seqs(again.read(ds))
	if !slices.Equal(all, span(0, 5)) || len(marked) < 3 || !slices.Equal(marked, all[:len(marked)]) {
		s.Fatalf("fetched %v, marked %v; 0, 1 and 2 were in the hand of who was killed", all, marked)
	}
	again.ack(ds)
	again.empty()
}

// Putting back works over and over, and in the order that the client gives.
func suspendPutsBackAgain(s *scene) {
	a, b := s.connect("a", protocol.New), s.connect("b", protocol.New)
	a.send("b", 0, 3)
	for range 3 {
		ds := b.fetch(3)
		s.must(b.Leave(s.ctx, protocol.Departure{Suspend: true, Back: ds}), "suspend")
		b = s.connect("b", protocol.Resume)
	}
	ds := b.fetch(3)
	if all, marked := seqs(b.read(ds)); !slices.Equal(all, span(0, 2)) || !slices.Equal(marked, all) {
		s.Fatalf("fetched %v, marked %v", all, marked)
	}
	b.ack(ds)
	b.suspend()
	s.connect("b", protocol.Reconnect).empty()
}

// A client comes back in another process than it left.
func suspendElsewhere(s *scene) {
	a, there := s.connect("a", protocol.New), s.player("b", protocol.New)
	a.send("b", 0, 4)
	there.do(order{Op: "fetch", Count: 2, Wait: true})
	there.do(order{Op: "ack", Count: 2})
	there.do(order{Op: "suspend"})
	there.id = ""
	b := s.connect("b", protocol.Reconnect)
	b.came(2, protocol.Suspended)
	ds := b.fetch(2)
	if all, marked := seqs(b.read(ds)); !slices.Equal(all, span(2, 3)) || marked != nil {
		s.Fatalf("fetched %v, marked %v", all, marked)
	}
	b.ack(ds)
}

// A deadline is told to the peers, and does no harm while it has not come.
func suspendDeadline(s *scene) {
	a, b := s.connect("a", protocol.New), s.connect("b", protocol.New)
	until := time.Now().Add(time.Hour)
	s.must(b.Leave(s.ctx, protocol.Departure{Suspend: true, Until: until}), "suspend")
	p := s.state(a.store, "b", protocol.Suspended)
	if d := p.Until.Sub(until); d < -time.Second || d > time.Second {
		s.Errorf("the deadline is seen as %v, it is %v", p.Until, until)
	}
	if p.Overdue(time.Now()) {
		s.Error("a suspension of an hour is overdue at once")
	}
	a.send("b", 0, 1)
	b = s.connect("b", protocol.Reconnect)
	if p := s.state(a.store, "b", protocol.Active); !p.Until.IsZero() {
		s.Errorf("an active peer has the deadline %v", p.Until)
	}
	b.expect(s.ledger("b"), 1)
}

// Nobody can send to a peer that is overdue; it may come back all the same, to
// what was sent before.
func suspendOverdue(s *scene) {
	a, b := s.connect("a", protocol.New), s.connect("b", protocol.New)
	a.send("b", 0, 2)
	s.must(b.Leave(s.ctx, protocol.Departure{Suspend: true, Until: time.Now().Add(-time.Minute)}), "suspend")
	for _, wait := range []bool{true, false} {
		n, err := a.Deliver(s.ctx, "b", letters("a", "b", 2, 1, 0), wait)
		s.wantErr(err, protocol.ErrPeerGone, "deliver to one overdue")
		if n != 0 {
			s.Fatal("a message to one overdue was accepted")
		}
	}
	p := s.state(a.store, "b", protocol.Suspended)
	if !p.Overdue(time.Now()) {
		s.Errorf("the peer is not seen as overdue: %+v", p)
	}
	s.refused("b", protocol.New, protocol.ErrPeerSuspended)
	b = s.connect("b", protocol.Reconnect)
	a.send("b", 2, 1)
	b.expect(s.ledger("b"), 3)
}

// Attributes stay while a client is suspended, and are its own again when it
// is back; statistics likewise.
func suspendKeepsAttributes(s *scene) {
	b := s.connect("b", protocol.New)
	attrs := map[string]string{"role": "worker", "é": "\x00"}
	s.must(b.Publish(s.ctx, attrs, []byte("first")), "publish")
	s.must(b.Leave(s.ctx, protocol.Departure{Suspend: true, Stats: []byte("second")}), "suspend")
	if p := s.state(s.store, "b", protocol.Suspended); !maps.Equal(p.Attrs, attrs) {
		s.Errorf("a suspended peer has the attributes %q, want %q", p.Attrs, attrs)
	}
	b = s.connect("b", protocol.Reconnect)
	had, stats := b.Left()
	if !maps.Equal(had, attrs) || string(stats) != "second" {
		s.Errorf("Left gives %q, %q; want %q, %q", had, stats, attrs, "second")
	}
	if p := s.state(s.store, "b", protocol.Active); !maps.Equal(p.Attrs, attrs) {
		s.Errorf("a peer that is back has the attributes %q, want %q", p.Attrs, attrs)
	}
}
