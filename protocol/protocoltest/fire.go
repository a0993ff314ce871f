package protocoltest

import (
	"math/rand/v2"
	"testing"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// fire is about actors who are killed in the middle of what they do, over and
// over.
func fire(t *testing.T, h Harness) {
	h.run(t, "SendersAreKilled", sendersAreKilled, room(1<<30, 1<<30)) // nobody reads meanwhile
	if h.Protocol.Features().Redelivers {
		h.run(t, "ReceiversAreKilled", receiversAreKilled, room(64, 1<<20))
	}
}

// A sender is killed while it delivers, and comes back, again and again. From
// each of its lives the receiver gets a gapless beginning, with at least all
// that was said to be accepted, and nothing of an earlier life after one of a
// later.
func sendersAreKilled(s *scene) {
	b := s.connect("b", protocol.New)
	const life = 1_000_000 // letters of one life are numbered from a multiple of this
	confirmed := make([]int, *kills)
	for n := range confirmed {
		a := s.player("a", protocol.Resume)
		// It may have no more to do when it is killed at last: what it sends
		// until then is to be no more than any disk holds.
		const batches = 100
		batch := 1 + n%3
		a.tell(order{Op: "stream", To: "b", First: n * life, Count: batches * batch, Batch: batch, Size: 300, Wait: true})
		for range 1 + rand.IntN(batches/2) {
			if r, ok := a.hear(); !ok || r.Done {
				s.Fatalf("the sender stopped: %s", r.Err)
			}
		}
		a.kill()
		for r, ok := a.hear(); ok; r, ok = a.hear() {
			confirmed[n] = max(confirmed[n], r.N)
		}
		s.state(s.store, "a", protocol.Crashed)
	}
	s.connect("a", protocol.Resume).send("b", *kills*life, 1)

	got := make([]int, *kills+1)
	for at := 0; at < *kills; {
		ds := b.fetch(1)
		l := b.read(ds)[0]
		b.ack(ds)
		if l.Redelivered {
			s.Fatalf("letter %d is marked; its receiver never crashed", l.Seq)
		}
		n, seq := l.Seq/life, l.Seq%life
		if n < at || seq != got[n] {
			s.Fatalf("letter %d of life %d came after %d of it, in the time of life %d", seq, n, got[n], at)
		}
		at = n
		got[n]++
	}
	for n, want := range confirmed {
		if got[n] < want {
			s.Errorf("%d letters of life %d arrived, %d were accepted", got[n], n, want)
		}
	}
	b.empty()
}

// A receiver is killed while it fetches and acknowledges, and comes back, again
// and again. Nothing is lost, nothing acknowledged returns, and what comes again
// is marked.
func receiversAreKilled(s *scene) {
	const batch = 3
	b := s.player("b", protocol.New)
	f := s.connect("a", protocol.New).flow("b", batch, 200)
	var t tally
	for range *kills {
		b.tell(order{Op: "consume", Batch: 1 + rand.IntN(20)})
		for range 5 + rand.IntN(60) {
			r, ok := b.hear()
			if !ok || r.Done {
				s.Fatalf("the receiver stopped: %s", r.Err)
			}
			t.note(s, r)
		}
		b.kill()
		for r, ok := b.hear(); ok; r, ok = b.hear() {
			t.note(s, r)
		}
		s.state(s.store, "b", protocol.Crashed)
		t.crash(int(f.sent.Load()) + batch) // a batch is accepted before the flow counts it
		b = s.player("b", protocol.Reconnect)
	}
	f.end()
	s.wantErr(f.err, errStopped, "a flow to a receiver that is killed")
	b.kill()
	s.state(s.store, "b", protocol.Crashed)
	last := s.connect("b", protocol.Reconnect)
	for s.unread("b") > 0 {
		ds := last.fetch(1)
		t.note(s, report{Letters: last.read(ds)})
		last.ack(ds)
	}
	last.empty()
	if sent := int(f.sent.Load()); t.seen != sent {
		s.Errorf("%d letters arrived, %d were accepted", t.seen, sent)
	}
}

// tally follows one stream of letters through several receivers.
type tally struct {
	began bool // this receiver has fetched something;
	next  int  // then the one due, otherwise any that is not acknowledged may be
	seen  int  // below this, all were fetched by some receiver,
	acked int  // and below this acknowledged, on record
	old   int  // from this on, all were accepted after the last crash
}

// crash tells it that the receiver was killed, when fewer than accepted letters
// were.
func (t *tally) crash(accepted int) {
	t.began, t.next, t.old = false, 0, accepted
}

func (t *tally) note(s *scene, r report) {
	s.Helper()
	for _, l := range r.Letters {
		switch {
		case t.began && l.Seq != t.next:
			s.Fatalf("letter %d arrived where %d was due", l.Seq, t.next)
		case l.Seq < t.acked:
			s.Fatalf("letter %d arrived again, and all below %d are acknowledged", l.Seq, t.acked)
		case l.Seq > t.seen:
			s.Fatalf("letter %d arrived, and %d never did", l.Seq, t.seen)
		case l.Seq < t.seen && !l.Redelivered:
			s.Fatalf("letter %d arrived again without a mark", l.Seq)
		case l.Seq >= t.old && l.Redelivered:
			s.Fatalf("letter %d is marked, and was accepted after the crash", l.Seq)
		}
		t.began = true
		t.next = l.Seq + 1
		t.seen = max(t.seen, t.next)
	}
	if r.N > 0 {
		t.acked = t.next
	}
}
