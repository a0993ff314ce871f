package protocoltest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/ipcmgr/ipcmgr/protocol"
)

var errHang = errors.New("protocoltest: stuck: this should have ended long ago")

// scene is one store and what a test does with it. At its end the store is
// unspawned and nothing may be left: no file, goroutine or descriptor.
type scene struct {
	*testing.T
	h        Harness
	features protocol.Features
	ctx      context.Context // ends when the test is stuck
	store    protocol.Store  // the owner's handle
}

func defaults(h Harness) protocol.Settings {
	s := protocol.Settings{Serializer: "json", MaxFrame: 1 << 20, MaxPending: 1 << 16, MaxBytes: 64 << 20}
	if m := h.Protocol.Features().MaxFrame; m > 0 && m < s.MaxFrame {
		s.MaxFrame = m
	}
	return s
}

// run makes a test of its own over a fresh store. The settings are the suite's
// defaults as changed by tune.
func (h Harness) run(t *testing.T, name string, test func(*scene), tune ...func(*protocol.Settings)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		s := h.empty(t)
		settings := defaults(h)
		for _, f := range tune {
			f(&settings)
		}
		s.store = s.spawn(s.route(), settings)
		test(s)
	})
}

// empty makes a scene without a store.
func (h Harness) empty(t *testing.T) *scene {
	ctx, cancel := context.WithTimeoutCause(context.Background(), *hang, errHang)
	s := &scene{T: t, h: h, features: h.Protocol.Features(), ctx: ctx}
	check := s.watchLeaks()
	t.Cleanup(func() {
		cancel()
		if !t.Failed() {
			check()
		}
	})
	return s
}

// route gives a fresh route, or "" for a temporary place.
func (s *scene) route() string {
	if s.h.Route == nil {
		return ""
	}
	return s.h.Route(s)
}

// spawn makes a store that is gone at the end of the test, with its route.
func (s *scene) spawn(route string, settings protocol.Settings) protocol.Store {
	s.Helper()
	settings.Temporary = route == ""
	_, err := os.Lstat(route)
	stood := err == nil
	st, err := s.h.Protocol.Spawn(s.ctx, route, settings)
	s.must(err, "spawn")
	s.Cleanup(func() { s.strike(st, stood) })
	return st
}

// strike unspawns a store, unless the test has done so. Its owner is closed
// last, so that nobody can take a temporary one for dead in between.
func (s *scene) strike(st protocol.Store, stood bool) {
	defer st.Close()
	ctx, cancel := context.WithTimeoutCause(context.Background(), *hang, errHang)
	defer cancel()
	route := st.Route()
	last, err := s.h.Protocol.Open(ctx, route)
	if err == nil {
		s.must(last.Own(ctx, true), "own by force")
		s.must(last.Unspawn(ctx), "unspawn")
		s.must(last.Close(), "close an unspawned store")
	}
	_, err = s.h.Protocol.Open(ctx, route)
	s.wantErr(err, protocol.ErrNoStore, "open after unspawn")
	if !filepath.IsAbs(route) {
		return
	}
	if !stood {
		if _, err := os.Lstat(route); !errors.Is(err, os.ErrNotExist) {
			s.Errorf("after unspawn the route %s is still there: %v", route, err)
		}
	} else if left, err := os.ReadDir(route); err != nil || len(left) > 0 {
		s.Errorf("after unspawn the directory %s, which stood before, has %v (%v)", route, left, err)
	}
}

// open gives a further handle on the scene's store.
func (s *scene) open() protocol.Store {
	s.Helper()
	st, err := s.h.Protocol.Open(s.ctx, s.store.Route())
	s.must(err, "open")
	s.Cleanup(func() { st.Close() })
	return st
}

// options are those of a Connect; the hello is the id behind a few bytes.
func options(id string, mode protocol.Mode) protocol.ConnectOptions {
	const hello = "hello "
	return protocol.ConnectOptions{
		ID:    id,
		Mode:  mode,
		Hello: []byte(hello + id),
		Who: func(b []byte) (string, error) {
			if len(b) <= len(hello) || string(b[:len(hello)]) != hello {
				return "", fmt.Errorf("not a hello: %q", b)
			}
			return string(b[len(hello):]), nil
		},
		Notice: func(error) {},
	}
}

// connect makes a client in this process, on a handle of its own, as a stranger
// to every other client.
func (s *scene) connect(id string, mode protocol.Mode) *client {
	s.Helper()
	st := s.open()
	m, err := st.Connect(s.ctx, options(id, mode))
	s.must(err, "connect "+id)
	return &client{Mailbox: m, s: s, id: id, store: st}
}

// state waits until id is in the given state, as seen by st; Gone is not being
// listed.
func (s *scene) state(st protocol.Store, id string, want protocol.State) protocol.Peer {
	s.Helper()
	for {
		peers, rev, err := st.Peers(s.ctx)
		s.must(err, "list peers")
		p := protocol.Peer{ID: id, State: protocol.Gone}
		for _, q := range peers {
			if q.ID == id {
				p = q
			}
		}
		if p.State == want {
			return p
		}
		if err := st.Changed(s.ctx, rev); err != nil {
			s.Fatalf("waiting until %s is %v (it is %v): %v", id, want, p.State, err)
		}
	}
}

func (s *scene) must(err error, what string) {
	s.Helper()
	if err != nil {
		s.Fatalf("%s: %v", what, err)
	}
}

func (s *scene) wantErr(err, want error, what string) {
	s.Helper()
	if !errors.Is(err, want) {
		s.Fatalf("%s: error is %v, want one that matches %q", what, err, want)
	}
}
