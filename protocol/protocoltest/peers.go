package protocoltest

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// peers is about what clients know of each other.
func peers(t *testing.T, h Harness) {
	h.run(t, "ListedInOrder", listedInOrder)
	h.run(t, "WhoAndSince", whoAndSince)
	h.run(t, "LookingIsNotBeing", lookingIsNotBeing)
	h.run(t, "AttributesAreSeen", attributesAreSeen)
	h.run(t, "AttributesGoWithTheirClient", attributesGoWithTheirClient)
	h.run(t, "AttributesFromTheStart", attributesFromTheStart)
	h.run(t, "EveryChangeIsTold", everyChangeIsTold)
	h.run(t, "NoChangeIsMissed", noChangeIsMissed)
	h.run(t, "EveryWatcherSees", everyWatcherSees)
	h.run(t, "StatisticsStay", statisticsStay)
	h.run(t, "Fold", foldLeavesNoTrace)
}

// ids lists the peers as a handle sees them.
func (s *scene) ids(st protocol.Store) []string {
	s.Helper()
	list, _, err := st.Peers(s.ctx)
	s.must(err, "list peers")
	ids := []string{}
	for _, p := range list {
		ids = append(ids, p.ID)
	}
	return ids
}

// Peers are listed by id, without those that have left for good.
func listedInOrder(s *scene) {
	for _, id := range []string{"c", "a", "d", "b", "B"} {
		s.connect(id, protocol.New)
	}
	e := s.connect("e", protocol.New)
	if got := s.ids(s.store); !slices.Equal(got, []string{"B", "a", "b", "c", "d", "e"}) {
		s.Errorf("peers are %q", got)
	}
	e.leave()
	if got := s.ids(s.open()); !slices.Equal(got, []string{"B", "a", "b", "c", "d"}) {
		s.Errorf("peers are %q", got)
	}
}

// A peer is known with its process and since when it is what it is.
func whoAndSince(s *scene) {
	before := time.Now()
	a := s.actor()
	pid := a.connect("a", protocol.New).PID
	s.connect("b", protocol.New)
	for id, want := range map[string]int{"a": pid, "b": os.Getpid()} {
		p := s.state(s.store, id, protocol.Active)
		if !s.features.Remote && (p.PID != want || p.Start == 0) {
			s.Errorf("%s is known as process %d, started %d; it is %d", id, p.PID, p.Start, want)
		}
		// Time stamps of files may be a tick of the kernel behind the clock.
		if p.Since.Before(before.Add(-time.Second)) || p.Since.After(time.Now().Add(time.Second)) {
			s.Errorf("%s is active since %v, connected after %v", id, p.Since, before)
		}
	}
}

// Handles are no peers, whatever is asked through them.
func lookingIsNotBeing(s *scene) {
	st := s.open()
	s.must(st.Own(s.ctx, true), "own")
	if _, err := st.Stats(s.ctx); err != nil {
		s.Fatal(err)
	}
	if got := s.ids(st); len(got) > 0 {
		s.Errorf("an unused store has the peers %q", got)
	}
	s.must(s.store.Own(s.ctx, true), "own")
}

// Published attributes are seen by everyone, replaced as a whole.
func attributesAreSeen(s *scene) {
	a, there := s.connect("a", protocol.New), s.player("b", protocol.New)
	for i, attrs := range []map[string]string{{"x": "1", "y": "2"}, {"y": "3"}, {"big": string(make([]byte, 32<<10))}, {}} {
		s.must(a.Publish(s.ctx, attrs, nil), "publish")
		there.do(order{Op: "publish", Attrs: attrs})
		for _, st := range []protocol.Store{s.store, s.open()} {
			for _, id := range []string{"a", "b"} {
				s.seen(st, id, attrs, fmt.Sprintf("publish %d of %s", i, id))
			}
		}
	}
}

// seen waits until a handle shows these attributes.
func (s *scene) seen(st protocol.Store, id string, want map[string]string, what string) {
	s.Helper()
	for {
		list, rev, err := st.Peers(s.ctx)
		s.must(err, "list peers")
		i := slices.IndexFunc(list, func(p protocol.Peer) bool { return p.ID == id })
		if i >= 0 && maps.Equal(list[i].Attrs, want) {
			return
		}
		s.must(st.Changed(s.ctx, rev), what+": waiting until it is seen")
	}
}

// A newcomer under an id has none of the attributes of who had it before, and
// its statistics.
func attributesGoWithTheirClient(s *scene) {
	a := s.connect("a", protocol.New)
	s.must(a.Publish(s.ctx, map[string]string{"x": "1"}, []byte("counts")), "publish")
	a.leave()
	a = s.connect("a", protocol.New)
	attrs, stats := a.Left()
	if len(attrs) > 0 || string(stats) != "counts" {
		s.Errorf("Left gives %q, %q; want none, %q", attrs, stats, "counts")
	}
	if p := s.state(s.store, "a", protocol.Active); len(p.Attrs) > 0 {
		s.Errorf("a newcomer has the attributes %q", p.Attrs)
	}
}

// Attributes given at Connect are seen as soon as the client is; they replace
// those of a client that is taken up, which Left still tells.
func attributesFromTheStart(s *scene) {
	first, second := map[string]string{"x": "1"}, map[string]string{"y": "2"}
	o := options("a", protocol.New)
	o.Attrs = first
	a, err := s.store.Connect(s.ctx, o)
	s.must(err, "connect")
	if p := s.state(s.store, "a", protocol.Active); !maps.Equal(p.Attrs, first) {
		s.Errorf("a newcomer has the attributes %q, want %q", p.Attrs, first)
	}
	if !s.features.Suspends {
		s.must(a.Leave(s.ctx, protocol.Departure{}), "leave")
		return
	}
	for _, next := range []map[string]string{nil, second} {
		s.must(a.Leave(s.ctx, protocol.Departure{Suspend: true}), "suspend")
		o = options("a", protocol.Reconnect)
		o.Attrs = next
		a, err = s.store.Connect(s.ctx, o)
		s.must(err, "reconnect")
		if left, _ := a.Left(); !maps.Equal(left, first) {
			s.Errorf("Left gives %q, want %q", left, first)
		}
		want := first
		if next != nil {
			want = next
		}
		if p := s.state(s.store, "a", protocol.Active); !maps.Equal(p.Attrs, want) {
			s.Errorf("the client taken up has the attributes %q, want %q", p.Attrs, want)
		}
	}
	s.must(a.Leave(s.ctx, protocol.Departure{}), "leave")
}

// Changed returns at once when there was a change since the revision it is
// asked about, of whatever kind.
func everyChangeIsTold(s *scene) {
	watch := s.open()
	a := s.actor()
	b := s.connect("b", protocol.New)
	for _, change := range []struct {
		what string
		make func()
		done func(peers []protocol.Peer) bool
	}{
		{"connect", func() { a.connect("a", protocol.New) }, func(ps []protocol.Peer) bool { return len(ps) == 2 }},
		{"publish", func() { a.do(order{Op: "publish", Attrs: map[string]string{"x": "y"}}) }, func(ps []protocol.Peer) bool { return ps[0].Attrs["x"] == "y" }},
		{"publish here", func() { s.must(b.Publish(s.ctx, map[string]string{"x": "z"}, nil), "publish") }, func(ps []protocol.Peer) bool { return ps[1].Attrs["x"] == "z" }},
		{"leave", b.leave, func(ps []protocol.Peer) bool { return len(ps) == 1 }},
		{"crash", a.kill, func(ps []protocol.Peer) bool { return ps[0].State == protocol.Crashed }},
	} {
		_, rev, err := watch.Peers(s.ctx)
		s.must(err, "list peers")
		change.make()
		for {
			s.must(watch.Changed(s.ctx, rev), "waiting to be told of "+change.what)
			var list []protocol.Peer
			list, rev, err = watch.Peers(s.ctx)
			s.must(err, "list peers")
			if change.done(list) {
				break
			}
		}
	}
}

// Changed returns for every change that Peers has not told, however the two
// fall together, and from wherever it comes.
func noChangeIsMissed(s *scene) {
	there, watch := s.actor(), s.open()
	for i := range 50 {
		id := fmt.Sprint("p", i)
		there.tell(order{Op: "connect", ID: id})
		s.state(watch, id, protocol.Active)
		there.id = id
		if r := there.finish(); r.Err != "" {
			s.Fatal(r.Err)
		}
		here := make(chan error, 1)
		go func() {
			m, err := s.store.Connect(s.ctx, options("here", protocol.New))
			if err == nil {
				err = m.Leave(s.ctx, protocol.Departure{})
			}
			here <- err
		}()
		there.tell(order{Op: "leave"})
		s.state(watch, id, protocol.Gone)
		there.id = ""
		if r := there.finish(); r.Err != "" {
			s.Fatal(r.Err)
		}
		s.must(<-here, "connect and leave")
		s.state(watch, "here", protocol.Gone)
	}
}

// Every handle that waits is told.
func everyWatcherSees(s *scene) {
	const watchers = 8
	seen := make(chan struct{}, watchers)
	shared := s.open()
	for i := range watchers {
		st := shared
		if i%2 == 0 {
			st = s.open()
		}
		go func() {
			defer func() { seen <- struct{}{} }()
			for s.ctx.Err() == nil {
				list, rev, err := st.Peers(s.ctx)
				if err != nil || len(list) > 0 || st.Changed(s.ctx, rev) != nil {
					return
				}
			}
		}()
	}
	s.connect("a", protocol.New)
	for range watchers {
		<-seen
	}
	s.must(s.ctx.Err(), "waiting for every watcher")
}

// Statistics stay when their client is gone, as it left them last.
func statisticsStay(s *scene) {
	a, there := s.connect("a", protocol.New), s.player("b", protocol.New)
	s.must(a.Publish(s.ctx, nil, []byte("a1")), "publish")
	there.do(order{Op: "publish", Stats: []byte("b1")})
	s.stats(map[string]string{"a": "a1", "b": "b1"})
	s.must(a.Leave(s.ctx, protocol.Departure{Stats: []byte("a2")}), "leave")
	s.stats(map[string]string{"a": "a2", "b": "b1"})
	there.kill()
	s.state(s.store, "b", protocol.Crashed)
	s.stats(map[string]string{"a": "a2", "b": "b1"})
	s.connect("b", protocol.Resume).leave()
	s.stats(map[string]string{"a": "a2", "b": "b1"})
}

func (s *scene) stats(want map[string]string) {
	s.Helper()
	all, err := s.store.Stats(s.ctx)
	s.must(err, "read statistics")
	got := map[string]string{}
	for id, stats := range all {
		got[id] = string(stats)
	}
	if !maps.Equal(got, want) {
		s.Fatalf("statistics are %q, want %q", got, want)
	}
}

// A client without a name of its own leaves nothing but a share of common
// statistics.
func foldLeavesNoTrace(s *scene) {
	for i := range 3 {
		id := fmt.Sprint("tmp", i)
		a := s.connect(id, protocol.New)
		s.must(a.Publish(s.ctx, map[string]string{"x": "y"}, []byte("own")), "publish")
		s.must(a.Leave(s.ctx, protocol.Departure{
			Under: "_all",
			Fold:  func(old []byte) ([]byte, error) { return append(old, 'x'), nil },
		}), "leave")
		s.refused(id, protocol.Reconnect, protocol.ErrNoPeer)
	}
	s.stats(map[string]string{"_all": "xxx"})
	if got := s.ids(s.store); len(got) > 0 {
		s.Errorf("peers are left: %q", got)
	}
	a := s.connect("tmp0", protocol.New)
	a.came(1, protocol.Gone)
	if attrs, stats := a.Left(); len(attrs)+len(stats) > 0 {
		s.Errorf("Left gives %q, %q after Fold", attrs, stats)
	}
}
