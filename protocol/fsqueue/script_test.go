package fsqueue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/internal/roster"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// script is one life of a store, from Spawn to Unspawn, that goes through every
// verb. A verb that fails is told to failed and done again.
type script struct {
	t     *testing.T
	kind  func() (protocol.Store, error) // Spawn
	route string

	failed func(verb string, err error) // nil: nothing may fail
	before func(verb string, what ...string)
	after  func(verb string, what ...string)

	st     *store
	al, bo *mailbox

	accepted []string // in order, by al
	unsure   map[string]bool
	got      []string // by bo: acknowledged
	refused  map[string]bool
}

func newScript(t *testing.T, fsys disk.FS, route string, sync bool) *script {
	s := protocol.Settings{Serializer: "json", MaxFrame: 1 << 20, MaxPending: 1000, MaxBytes: 1 << 24, Sync: sync}
	return &script{
		t: t,
		kind: func() (protocol.Store, error) {
			st, err := newStore(kind(fsys).Spawn(t.Context(), route, s))
			if errors.Is(err, protocol.ErrStoreExists) {
				// A Spawn failed and could not take back what it had made, which
				// is a store without an owner.
				if st, err = newStore(kind(fsys).Open(t.Context(), route)); err == nil {
					err = st.Own(t.Context(), false)
				}
			}
			return st, err
		},
		route:   route,
		before:  func(string, ...string) {},
		after:   func(string, ...string) {},
		unsure:  map[string]bool{},
		refused: map[string]bool{},
	}
}

// do carries out a verb until it succeeds.
func (s *script) do(verb string, what []string, call func() error) {
	s.t.Helper()
	for try := 0; ; try++ {
		s.before(verb, what...)
		err := call()
		if err == nil {
			s.after(verb, what...)
			return
		}
		require.NotNil(s.t, s.failed, "%s: %v", verb, err)
		require.Less(s.t, try, 3, "%s does not work again: %v", verb, err)
		s.failed(verb, err)
	}
}

func (s *script) connect(m **mailbox, id string, found ...protocol.State) {
	s.t.Helper()
	s.do("connect "+id, nil, func() error {
		c, err := s.st.Connect(s.t.Context(), protocol.ConnectOptions{ID: id, Mode: protocol.Resume})
		if err != nil {
			return err
		}
		*m = c.(*mailbox)
		require.Contains(s.t, found, (*m).Found())
		return nil
	})
}

// give sends texts from al to bo. Those that failed are sent again under
// another name: whether they arrive is what is asked.
func (s *script) give(texts ...string) {
	s.t.Helper()
	for try := 0; ; try++ {
		fs := make([]protocol.Frame, len(texts))
		for i, text := range texts {
			fs[i].Data = []byte(text)
		}
		s.before("deliver", texts...)
		n, err := s.al.Deliver(s.t.Context(), "bo", fs, false)
		s.accepted = append(s.accepted, texts[:n]...)
		if err == nil {
			require.Equal(s.t, len(texts), n)
			s.after("deliver", texts...)
			return
		}
		require.NotNil(s.t, s.failed, "deliver: %v", err)
		require.Less(s.t, try, 3, "deliver does not work again: %v", err)
		s.failed("deliver", err)
		for i := n; i < len(texts); i++ {
			if errors.Is(err, protocol.ErrUnsure) {
				s.unsure[texts[i]] = true
				s.accepted = append(s.accepted, texts[i])
			} else {
				s.refused[texts[i]] = true
			}
		}
		texts = slices.Clone(texts[n:])
		for i := range texts {
			texts[i] += "'"
		}
	}
}

// fetch takes n messages.
func (s *script) fetch(n int) []protocol.Delivery {
	s.t.Helper()
	ds := make([]protocol.Delivery, n)
	for n = 0; n < len(ds); {
		s.do("fetch", nil, func() error {
			more, err := s.bo.Fetch(s.t.Context(), ds[n:], false)
			n += more
			if err == nil && more == 0 {
				err = errors.New("nothing is there")
			}
			return err
		})
	}
	return ds
}

func (s *script) ack(ds ...protocol.Delivery) {
	s.t.Helper()
	var texts []string
	for _, d := range ds {
		texts = append(texts, string(d.Data))
	}
	s.do("acknowledge", texts, func() error { return s.bo.Ack(s.t.Context(), ds) })
	s.got = append(s.got, texts...)
}

// leave makes a client leave. One whose Leave failed is as a crash leaves it,
// and has to come back for another.
func (s *script) leave(m **mailbox, id string, d protocol.Departure) {
	s.t.Helper()
	verb := "leave " + id
	if d.Suspend {
		verb = "suspend " + id
	}
	s.do(verb, nil, func() error {
		if (*m).left.Load() {
			s.connect(m, id, protocol.Crashed, protocol.Suspended, protocol.Gone)
			d.Back = nil
		}
		return (*m).Leave(s.t.Context(), d)
	})
}

// run goes through all of it.
func (s *script) run(ctx context.Context) {
	t := s.t
	s.do("spawn", nil, func() error {
		st, err := s.kind()
		if err == nil {
			s.st = st.(*store)
		}
		return err
	})
	defer s.st.Close()
	s.connect(&s.al, "al", protocol.Gone)
	s.connect(&s.bo, "bo", protocol.Gone)
	s.give("a")
	s.give("b", "c", "d", "e")
	ds := s.fetch(5)
	s.ack(ds[2], ds[1])
	s.ack(ds[0])
	s.do("publish", nil, func() error { return s.bo.Publish(ctx, map[string]string{"k": "v"}, []byte(`{"read":{"al":3}}`)) })
	s.leave(&s.bo, "bo", protocol.Departure{Suspend: true, Stats: []byte(`{"read":{"al":3}}`), Back: ds[len(ds)-1:]})
	s.give("f")
	s.connect(&s.bo, "bo", protocol.Suspended, protocol.Crashed)
	attrs, stats := s.bo.Left()
	require.Equal(t, "v", attrs["k"])
	require.JSONEq(t, `{"read":{"al":3}}`, string(stats))
	s.ack(s.fetch(len(s.accepted) - len(s.got))...)
	s.give("g", "h")
	g := s.fetch(1)[0]
	s.do("reject", []string{string(g.Data)}, func() error { return s.bo.Reject(ctx, g, errors.New("no")) })
	s.got = append(s.got, string(g.Data))
	s.do("seal", nil, func() error { return s.bo.Seal(ctx) })
	for end := false; !end; {
		ds := make([]protocol.Delivery, 10)
		var n int
		s.do("fetch", nil, func() (err error) {
			n, err = s.bo.Fetch(ctx, ds, true)
			if end = err == io.EOF; end {
				err = nil
			}
			return err
		})
		if !end {
			s.ack(ds[:n]...)
		}
	}
	s.leave(&s.bo, "bo", protocol.Departure{Stats: []byte(`{}`)})
	s.leave(&s.al, "al", protocol.Departure{})
	s.do("unspawn", nil, func() error { return s.st.Unspawn(ctx) })
	require.NoDirExists(t, filepath.Join(s.route, roster.Dot))
}

// check compares what bo got with what al was told. Only what Ack was told
// about twice may have been acknowledged twice.
func (s *script) check() {
	var missing []string
	for _, text := range s.accepted {
		if !slices.Contains(s.got, text) && !s.unsure[text] {
			missing = append(missing, text)
		}
	}
	require.Empty(s.t, missing, "accepted and lost")
	for _, text := range s.got {
		require.False(s.t, s.refused[text], fmt.Sprintf("%q was refused and arrived", text))
		require.Contains(s.t, s.accepted, text)
	}
}
