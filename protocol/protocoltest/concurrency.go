package protocoltest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// concurrency is about one client used by many goroutines. It says most under
// the race detector.
func concurrency(t *testing.T, h Harness) {
	h.run(t, "OneClient", oneClientUsedByMany)
	h.run(t, "OneID", oneIDWantedByMany)
}

// Everything but Fetch may be called at once with itself; messages of one
// goroutine stay in order, as if it were a client.
func oneClientUsedByMany(s *scene) {
	const workers, count = 8, 100
	a, b := s.connect("a", protocol.New), s.connect("b", protocol.New)
	var wg sync.WaitGroup
	var accepted atomic.Int64 // by a
	check := func(what string, err error) {
		if err != nil {
			s.Errorf("%s: %v", what, err)
		}
	}
	for w := range workers {
		wg.Go(func() {
			for i := range count {
				// The letter is by the goroutine, as far as the ledger knows.
				l := letter{By: fmt.Sprint("w", w), To: "b", Seq: i}
				_, err := a.Deliver(s.ctx, "b", []protocol.Frame{frame(l.write(0))}, true)
				check("deliver", err)
				wait := i%2 == 0
				n, err := b.Deliver(s.ctx, "a", letters("b", "a", 0, 1, 0), wait)
				if wait || !errors.Is(err, protocol.ErrFull) { // who is slow to take in looks full
					check("deliver", err)
				}
				accepted.Add(int64(n))
			}
		})
		wg.Go(func() {
			for i := range count / 10 {
				check("publish", a.Publish(s.ctx, map[string]string{"n": fmt.Sprint(w, i)}, []byte{byte(i)}))
				_, rev, err := a.store.Peers(s.ctx)
				check("list peers", err)
				check("watch peers", a.store.Changed(s.ctx, rev-1))
				_, err = a.store.Stats(s.ctx)
				check("read statistics", err)
				_, err = a.store.Unread(s.ctx, "b")
				check("count unread", err)
			}
		})
	}
	next := map[string]int{}
	for range workers * count {
		ds := b.fetch(1)
		l, err := readLetter(ds[0])
		s.must(err, "b")
		if l.Seq != next[l.By] || l.Redelivered {
			s.Errorf("letter %d of %s arrived where %d was due (marked: %v)", l.Seq, l.By, next[l.By], l.Redelivered)
		}
		next[l.By] = l.Seq + 1
		wg.Go(func() { check("acknowledge", b.Ack(s.ctx, ds)) })
	}
	wg.Wait()
	for ds := range slices.Chunk(a.fetch(int(accepted.Load())), count) {
		wg.Go(func() { check("acknowledge", a.Ack(s.ctx, ds)) })
	}
	wg.Wait()
	s.wantUnread("a", 0)
	s.wantUnread("b", 0)
	a.empty()
	b.empty()
}

// Of many who want one id at once exactly one gets it, and it is never held
// twice.
func oneIDWantedByMany(s *scene) {
	const workers, turns = 8, 20
	shared := s.open()
	var wg sync.WaitGroup
	var held, got sync.Mutex
	epochs := map[uint64]bool{}
	for w := range workers {
		st := shared
		if w%2 == 0 {
			st = s.open()
		}
		wg.Go(func() {
			for range turns {
				m, err := st.Connect(s.ctx, options("a", protocol.New))
				if err != nil {
					if !errors.Is(err, protocol.ErrPeerActive) {
						s.Errorf("connect: %v", err)
					}
					continue
				}
				if !held.TryLock() {
					s.Error("two clients hold one id")
					return
				}
				got.Lock()
				if epochs[m.Epoch()] {
					s.Errorf("epoch %d was given twice", m.Epoch())
				}
				epochs[m.Epoch()] = true
				got.Unlock()
				held.Unlock()
				if err := m.Leave(s.ctx, protocol.Departure{}); err != nil {
					s.Errorf("leave: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if len(epochs) == 0 {
		s.Error("nobody got the id")
	}
	s.connect("a", protocol.New).came(uint64(len(epochs))+1, protocol.Gone)
}
