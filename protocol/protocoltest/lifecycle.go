package protocoltest

import (
	"errors"
	"slices"
	"testing"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// lifecycle is about stores: made, opened, owned, ended, removed.
func lifecycle(t *testing.T, h Harness) {
	h.run(t, "SettingsAreOfTheStore", settingsAreOfTheStore, func(s *protocol.Settings) {
		s.Serializer, s.MaxFrame, s.MaxPending, s.MaxBytes = "other", 4000, 123, 456789
	})
	h.run(t, "RouteIsTakenOnce", routeIsTakenOnce)
	if _, ok := h.Protocol.(protocol.RouteChecker); ok {
		h.run(t, "RoutesAreChecked", routesAreChecked)
	}
	h.run(t, "TemporaryStoresDiffer", temporaryStoresDiffer)
	h.run(t, "SyncIsHonouredOrRefused", syncIsHonouredOrRefused)
	h.run(t, "UnspawnRemovesAll", unspawnRemovesAll)
	h.run(t, "UnspawnEndsFetch", unspawnEndsFetch)
	h.run(t, "EndRefusesConnect", endRefusesConnect)
	h.run(t, "OneOwner", oneOwner)
	h.run(t, "CloseLosesOwnership", closeLosesOwnership)
	h.run(t, "CollectSparesTheLiving", collectSparesTheLiving)
}

// Settings are recorded in the store: every Open reads those of Spawn.
func settingsAreOfTheStore(s *scene) {
	want := defaults(s.h)
	want.Serializer, want.MaxFrame, want.MaxPending, want.MaxBytes = "other", 4000, 123, 456789
	want.Temporary = s.h.Route == nil
	for _, st := range []protocol.Store{s.store, s.open()} {
		if got := st.Settings(); got != want {
			s.Errorf("settings are %+v, spawned with %+v", got, want)
		}
		if st.Route() != s.store.Route() || st.Route() == "" {
			s.Errorf("routes differ: %q and %q", st.Route(), s.store.Route())
		}
	}
}

// A route that holds a store takes no other, and a route without one opens
// nothing.
func routeIsTakenOnce(s *scene) {
	_, err := s.h.Protocol.Spawn(s.ctx, s.store.Route(), defaults(s.h))
	s.wantErr(err, protocol.ErrStoreExists, "spawn where a store is")
	s.connect("a", protocol.New).leave()
	if route := s.route(); route != "" {
		_, err = s.h.Protocol.Open(s.ctx, route)
		s.wantErr(err, protocol.ErrNoStore, "open where no store is")
	}
}

// What CheckRoute refuses, Spawn and Open refuse; the route of a store it does
// not.
func routesAreChecked(s *scene) {
	p := s.h.Protocol.(protocol.RouteChecker)
	s.must(p.CheckRoute(s.store.Route()), "check the route of a store")
	for _, route := range []string{"relative/route", "server://host/store", "/", "\x00"} {
		if p.CheckRoute(route) == nil {
			continue
		}
		if st, err := s.h.Protocol.Spawn(s.ctx, route, defaults(s.h)); err == nil {
			s.Errorf("a store is spawned at %q, which CheckRoute refuses", route)
			s.strike(st, false)
		}
		if st, err := s.h.Protocol.Open(s.ctx, route); err == nil {
			s.Errorf("%q is opened, which CheckRoute refuses", route)
			st.Close()
		}
	}
}

// Without a route every store gets one of its own.
func temporaryStoresDiffer(s *scene) {
	one, two := s.spawn("", defaults(s.h)), s.spawn("", defaults(s.h))
	if one.Route() == two.Route() || one.Route() == "" {
		s.Errorf("temporary stores at %q and %q", one.Route(), two.Route())
	}
	if !one.Settings().Temporary {
		s.Error("a temporary store is not recorded as one")
	}
}

// A protocol that cannot sync says so when a store is spawned, and makes none.
func syncIsHonouredOrRefused(s *scene) {
	settings := defaults(s.h)
	settings.Sync = true
	if s.features.Syncs {
		if !s.spawn(s.route(), settings).Settings().Sync {
			s.Error("sync was not recorded")
		}
		return
	}
	route := s.route()
	_, err := s.h.Protocol.Spawn(s.ctx, route, settings)
	s.wantErr(err, errors.ErrUnsupported, "spawn with sync")
	if route != "" {
		_, err = s.h.Protocol.Open(s.ctx, route)
		s.wantErr(err, protocol.ErrNoStore, "open after a refused spawn")
	}
}

// A Fetch that waits learns that there is nothing to wait for any more, in this
// process and in another.
func unspawnEndsFetch(s *scene) {
	here, there := s.connect("here", protocol.New), s.player("there", protocol.New)
	fetched := make(chan error, 1)
	go func() {
		_, err := here.Fetch(s.ctx, make([]protocol.Delivery, 1), true)
		fetched <- err
	}()
	there.tell(order{Op: "idle"})
	there.hear()
	s.must(s.store.Unspawn(s.ctx), "unspawn")
	s.wantErr(<-fetched, protocol.ErrNoStore, "a Fetch that waited")
	if r := there.finish(); !r.is(protocol.ErrNoStore) {
		s.Errorf("a Fetch that waited in another process: %q", r.Err)
	}
	s.wantErr(here.Leave(s.ctx, protocol.Departure{}), protocol.ErrNoStore, "leave")
}

// Unspawn removes a store with everything in it: clients that left, suspended
// or are connected still, messages and statistics. A store may be spawned there
// again, and knows nothing of the first.
func unspawnRemovesAll(s *scene) {
	st := s.spawn(s.route(), defaults(s.h))
	a, err := st.Connect(s.ctx, options("a", protocol.New))
	s.must(err, "connect")
	b, err := st.Connect(s.ctx, options("b", protocol.New))
	s.must(err, "connect")
	for i := range 10 {
		_, err = b.Deliver(s.ctx, "a", letters("b", "a", i, 1, 0), true)
		s.must(err, "deliver")
	}
	s.must(a.Publish(s.ctx, map[string]string{"k": "v"}, []byte("stats")), "publish")
	s.must(b.Leave(s.ctx, protocol.Departure{Suspend: s.features.Suspends, Stats: []byte("stats")}), "leave")
	s.must(st.Unspawn(s.ctx), "unspawn")
	_, err = s.h.Protocol.Open(s.ctx, st.Route())
	s.wantErr(err, protocol.ErrNoStore, "open after unspawn")
	s.must(st.Close(), "close")

	again := s.spawn(st.Route(), defaults(s.h))
	list, _, err := again.Peers(s.ctx)
	s.must(err, "list peers")
	stats, err := again.Stats(s.ctx)
	s.must(err, "read statistics")
	if len(list) > 0 || len(stats) > 0 {
		s.Errorf("a new store where one was unspawned has peers %v and statistics of %d clients", list, len(stats))
	}
}

// An ending store takes no client, under whatever mode, through whatever
// handle, until another owner takes it over.
func endRefusesConnect(s *scene) {
	a := s.connect("a", protocol.New)
	s.must(s.store.End(s.ctx), "end")
	for _, st := range []protocol.Store{s.store, s.open()} {
		for _, m := range []protocol.Mode{protocol.New, protocol.Resume} {
			_, err := st.Connect(s.ctx, options("b", m))
			s.wantErr(err, protocol.ErrEnding, "connect to an ending store")
		}
	}
	a.send("a", 0, 3)
	a.expect(s.ledger("a"), 3)
	a.leave()
	other := s.open()
	s.must(other.Own(s.ctx, true), "own")
	b, err := other.Connect(s.ctx, options("b", protocol.New))
	s.must(err, "connect to a store that was taken over")
	s.must(b.Leave(s.ctx, protocol.Departure{}), "leave")
	s.must(s.store.Own(s.ctx, true), "own")
}

// One handle at a time owns a store, and knows whether it still does.
func oneOwner(s *scene) {
	owned := func(first, second bool, other protocol.Store) {
		s.Helper()
		if s.store.Owned() != first || other.Owned() != second {
			s.Fatalf("first handle owns: %v, second: %v; want %v, %v", s.store.Owned(), other.Owned(), first, second)
		}
	}
	s.connect("a", protocol.New) // or anybody might collect the store while nobody owns it
	other := s.open()
	owned(true, false, other)
	s.wantErr(other.Own(s.ctx, false), protocol.ErrOwned, "own what is owned")
	s.must(s.store.Own(s.ctx, false), "own again")
	owned(true, false, other)
	s.must(s.store.Disown(s.ctx), "disown")
	owned(false, false, other)
	s.must(other.Own(s.ctx, false), "own what nobody owns")
	owned(false, true, other)
	s.must(s.store.Own(s.ctx, true), "own by force")
	owned(true, false, other)
	s.wantErr(other.Own(s.ctx, false), protocol.ErrOwned, "own what was taken by force")
}

// Closing the owner's handle leaves the store without an owner, and whole.
func closeLosesOwnership(s *scene) {
	keep := s.connect("a", protocol.New)
	other := s.open()
	s.must(s.store.Close(), "close")
	s.must(other.Own(s.ctx, false), "own what was closed")
	keep.send("a", 0, 1)
	keep.expect(s.ledger("a"), 1)
	keep.leave()
	s.must(other.Unspawn(s.ctx), "unspawn") // while it is owned: later anybody might collect it
}

// Collect touches no store that has an owner or a client.
func collectSparesTheLiving(s *scene) {
	owned, used := s.spawn("", defaults(s.h)), s.spawn("", defaults(s.h))
	a, err := used.Connect(s.ctx, options("a", protocol.New))
	s.must(err, "connect")
	s.must(used.Disown(s.ctx), "disown")
	gone, err := s.h.Protocol.Collect(s.ctx)
	s.must(err, "collect")
	for _, st := range []protocol.Store{s.store, owned, used} {
		if slices.Contains(gone, st.Route()) {
			s.Errorf("collected the living store %s", st.Route())
		}
		again, err := s.h.Protocol.Open(s.ctx, st.Route())
		s.must(err, "open after collect")
		again.Close()
	}
	s.must(used.Own(s.ctx, false), "own")
	s.must(a.Leave(s.ctx, protocol.Departure{}), "leave")
}
