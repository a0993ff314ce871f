package protocoltest

import (
	"testing"
	"time"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// pressure is about receivers that are slower than their senders.
func pressure(t *testing.T, h Harness) {
	h.run(t, "MessagesAreLimited", messagesAreLimited, room(16, 1<<20))
	h.run(t, "BytesAreLimited", bytesAreLimited, room(10000, 64<<10))
	h.run(t, "UnacknowledgedCounts", unacknowledgedCounts, room(16, 1<<20))
	h.run(t, "BlockedSenderGoesOn", blockedSenderGoesOn, room(16, 1<<20))
	h.run(t, "BatchMayExceed", batchMayExceed, room(4, 1<<20))
	h.run(t, "BothMaySendFirst", bothMaySendFirst, room(1000, 4<<20))
	h.run(t, "FullOneHoldsUpNoOther", fullOneHoldsUpNoOther, room(16, 1<<20))
	h.run(t, "SealWakes", sealWakes, room(16, 1<<20))
	h.run(t, "LeaveWakes", leaveWakes, room(16, 1<<20))
	h.run(t, "UnspawnWakes", unspawnWakes, room(16, 1<<20))
	if f := h.Protocol.Features(); f.Suspends {
		h.run(t, "WaitsThroughSuspension", waitsThroughSuspension, room(16, 1<<20))
		h.run(t, "OverdueWakes", overdueWakes, room(16, 1<<20))
	}
	if f := h.Protocol.Features(); f.Redelivers {
		h.run(t, "WaitsThroughCrash", waitsThroughCrash, room(16, 1<<20))
	} else {
		h.run(t, "CrashWakes", crashWakes, room(16, 1<<20))
	}
}

const letterSize = 1000 // bytes

// A receiver in another process that does not fetch is sent MaxPending messages
// and no more than a batch above; then it gets exactly those.
func messagesAreLimited(s *scene) {
	a, b := s.connect("a", protocol.New), s.player("b", protocol.New)
	sent := a.load(b.id, s.store.Settings().MaxPending, letterSize)
	g := s.ledger("b")
	for _, l := range b.do(order{Op: "fetch", Count: sent, Wait: true}).Letters {
		s.must(g.note(l), "b")
	}
	b.do(order{Op: "ack", Count: sent})
	a.send("b", sent, 1)
	b.do(order{Op: "fetch", Count: 1, Wait: true})
}

// MaxBytes limits likewise.
func bytesAreLimited(s *scene) {
	a, b := s.connect("a", protocol.New), s.player("b", protocol.New)
	const size = 8 << 10
	sent := a.load(b.id, s.store.Settings().MaxBytes/size, size)
	b.do(order{Op: "fetch", Count: sent, Wait: true})
	b.do(order{Op: "ack", Count: sent})
	a.send("b", sent, 1)
}

// load delivers letters to a receiver that does not fetch: those that there is
// room for, however slow it is to take them in, and then what more it takes. It
// gives the number accepted.
func (c *client) load(to string, room, size int) int {
	c.s.Helper()
	for i := range room {
		n, err := c.Deliver(c.s.ctx, to, letters(c.id, to, i, 1, size), true)
		if n != 1 || err != nil {
			c.s.Fatalf("deliver letter %d of %d that there is room for: %d, %v", i, room, n, err)
		}
	}
	return room + c.fill(to, room, size)
}

// What was fetched and not acknowledged still counts.
func unacknowledgedCounts(s *scene) {
	a, b := s.connect("a", protocol.New), s.connect("b", protocol.New)
	most := s.bound(1, letterSize)
	var held []protocol.Delivery
	sent := 0
	for dry := 0; dry < 20; dry++ {
		n, err := a.Deliver(s.ctx, "b", letters("a", "b", sent, 1, letterSize), false)
		if err != nil {
			s.wantErr(err, protocol.ErrFull, "deliver")
			pause()
		}
		sent += n
		ds := make([]protocol.Delivery, 10)
		k, err := b.Fetch(s.ctx, ds, false)
		s.must(err, "fetch")
		held = append(held, ds[:k]...)
		if n+k > 0 {
			dry = 0
		}
		if sent > most {
			s.Fatalf("%d letters were accepted, %d are fetched and none acknowledged; at most %d may be", sent, len(held), most)
		}
	}
	b.ack(append(held, b.fetch(sent-len(held))...))
	a.send("b", sent, 1)
}

// A sender that waits is never more than the limit ahead of what is
// acknowledged, and goes on with every acknowledgement.
func blockedSenderGoesOn(s *scene) {
	a, b := s.connect("a", protocol.New), s.connect("b", protocol.New)
	const batch = 3
	f := a.flow("b", batch, letterSize)
	g := s.ledger("b")
	for acked := range 1000 {
		if sent := int(f.sent.Load()); sent > acked+s.bound(batch, letterSize) {
			s.Fatalf("%d letters were accepted when %d were acknowledged", sent, acked)
		}
		b.expect(g, 1)
	}
	f.end()
	s.wantErr(f.err, errStopped, "a stopped flow")
	b.expect(g, int(f.sent.Load())-g.total)
	b.empty()
}

// The limits are soft: a batch larger than all the room is accepted by a mailbox
// that is not full, whole and in order.
func batchMayExceed(s *scene) {
	a, b := s.connect("a", protocol.New), s.connect("b", protocol.New)
	g := s.ledger("b")
	for first := 0; first < 300; first += 100 {
		done := make(chan error, 1)
		go func() {
			_, err := a.Deliver(s.ctx, "b", letters("a", "b", first, 100, 0), true)
			done <- err
		}()
		b.expect(g, 100)
		s.must(<-done, "deliver")
	}
}

// Two clients that send to each other, up to the limit, before either fetches do
// not block each other.
func bothMaySendFirst(s *scene) {
	a, b := s.player("a", protocol.New), s.player("b", protocol.New)
	const count = 1000
	a.tell(order{Op: "deliver", To: "b", Count: count, Batch: 10, Size: letterSize, Wait: true})
	b.tell(order{Op: "deliver", To: "a", Count: count, Batch: 10, Size: letterSize, Wait: true})
	for _, x := range []*actor{a, b} {
		if r := x.finish(); r.Err != "" || r.N != count {
			s.Fatalf("%s delivered %d of %d: %s", x.id, r.N, count, r.Err)
		}
	}
	for _, x := range []*actor{a, b} {
		g := s.ledger(x.id)
		for _, l := range x.do(order{Op: "fetch", Count: count, Wait: true}).Letters {
			s.must(g.note(l), x.id)
		}
	}
}

// A client that is blocked on a full peer can still send to another and receive.
func fullOneHoldsUpNoOther(s *scene) {
	a, c := s.connect("a", protocol.New), s.connect("c", protocol.New)
	s.player("full", protocol.New)
	s.connect("filler", protocol.New).fill("full", 0, letterSize)
	f := a.flow("full", 1, letterSize)
	a.send("c", 0, 5)
	c.expect(s.ledger("c"), 5)
	c.send("a", 0, 5)
	a.expect(s.ledger("a"), 5)
	f.end()
	s.wantErr(f.err, errStopped, "a stopped flow")
}

// blocked starts a flow to b that blocks, because b is full.
func (s *scene) blocked(b string) (f *flow, filled int) {
	s.Helper()
	f = s.connect("a", protocol.New).flow(b, 1, letterSize)
	return f, s.connect("filler", protocol.New).fill(b, 0, letterSize)
}

// Seal ends the waiting of senders; what they were told is accepted is fetched.
func sealWakes(s *scene) {
	b := s.connect("b", protocol.New)
	f, filled := s.blocked("b")
	s.must(b.Seal(s.ctx), "seal")
	got := b.drain()
	<-f.done
	if !gone(f.err) {
		s.Fatalf("a sender that waited was woken by Seal with %v", f.err)
	}
	if want := int(f.sent.Load()) + filled; got != want {
		s.Fatalf("%d were fetched after Seal, %d were accepted", got, want)
	}
	b.leave()
}

// Leaving without a Seal ends it too.
func leaveWakes(s *scene) {
	b := s.connect("b", protocol.New)
	f, _ := s.blocked("b")
	b.leave()
	<-f.done
	if !gone(f.err) {
		s.Fatalf("a sender that waited was woken by Leave with %v", f.err)
	}
}

// So does the end of the store.
func unspawnWakes(s *scene) {
	s.connect("b", protocol.New)
	f, _ := s.blocked("b")
	s.must(s.store.Unspawn(s.ctx), "unspawn")
	<-f.done
	s.wantErr(f.err, protocol.ErrNoStore, "a sender that waited when the store was unspawned")
}

// A sender goes on waiting while the receiver is suspended, and is served when
// it is back.
func waitsThroughSuspension(s *scene) {
	b := s.connect("b", protocol.New)
	f, filled := s.blocked("b")
	b.suspend()
	s.served(f, s.connect("b", protocol.Reconnect), filled)
}

// And while it has crashed.
func waitsThroughCrash(s *scene) {
	b := s.player("b", protocol.New)
	f, filled := s.blocked("b")
	b.kill()
	s.state(s.store, "b", protocol.Crashed)
	s.served(f, s.connect("b", protocol.Reconnect), filled)
}

// Where mailboxes are not kept, a crash ends the waiting: there is nothing to
// wait for.
func crashWakes(s *scene) {
	b := s.player("b", protocol.New)
	f, _ := s.blocked("b")
	b.kill()
	<-f.done
	s.wantErr(f.err, protocol.ErrPeerCrashed, "a sender that waited for one that crashed")
}

// served holds that b gets all that was accepted while it was away and more.
func (s *scene) served(f *flow, b *client, filled int) {
	s.Helper()
	g := s.ledger("b")
	before := int(f.sent.Load())
	select {
	case <-f.done:
		s.Fatalf("the sender did not go on waiting: %v", f.err)
	default:
	}
	b.expect(g, before+filled+500)
	f.end()
	s.wantErr(f.err, errStopped, "a stopped flow")
	b.expect(g, int(f.sent.Load())+filled-g.total)
	b.empty()
}

// A suspension that becomes overdue ends the waiting.
func overdueWakes(s *scene) {
	b := s.connect("b", protocol.New)
	f, _ := s.blocked("b")
	s.must(b.Leave(s.ctx, protocol.Departure{Suspend: true, Until: time.Now().Add(20 * time.Millisecond)}), "suspend")
	<-f.done
	s.wantErr(f.err, protocol.ErrPeerGone, "a sender that waited for one overdue")
	s.connect("b", protocol.Reconnect).came(2, protocol.Suspended)
}
