package ipcmgr_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
)

// The table of DESIGN.md: what stands under an id decides what each way of
// connecting to it does, and what becomes of a message to it.
func TestWhatAPeersStateMeans(t *testing.T) {
	states := []struct {
		name  string
		keeps bool // only where mailboxes are kept
		make  func(t *testing.T, s *ipcmgr.Store)
		plain error
		recon error // of Reconnect; nil: it takes up
		send  error
	}{
		{"free", false, func(*testing.T, *ipcmgr.Store) {}, nil, ipcmgr.ErrNoPeer, ipcmgr.ErrNoPeer},
		{"gone", false, func(t *testing.T, s *ipcmgr.Store) {
			require.NoError(t, connect(t, s, "bob").Disconnect(testContext(t), nil))
		}, nil, ipcmgr.ErrNoPeer, ipcmgr.ErrNoPeer},
		{"active", false, func(t *testing.T, s *ipcmgr.Store) { connect(t, s, "bob") },
			ipcmgr.ErrPeerActive, ipcmgr.ErrPeerActive, nil},
		{"suspended", true, func(t *testing.T, s *ipcmgr.Store) {
			require.NoError(t, connect(t, s, "bob").Suspend(testContext(t), time.Now().Add(time.Hour)))
		}, ipcmgr.ErrPeerSuspended, nil, nil},
		{"overdue", true, func(t *testing.T, s *ipcmgr.Store) {
			require.NoError(t, connect(t, s, "bob").Suspend(testContext(t), time.Now().Add(-time.Second)))
		}, ipcmgr.ErrPeerSuspended, nil, ipcmgr.ErrPeerGone},
		{"crashed", false, func(t *testing.T, s *ipcmgr.Store) { newVictim(t, s, "bob").crash() },
			ipcmgr.ErrPeerCrashed, nil, nil},
	}
	for _, state := range states {
		t.Run(state.name, func(t *testing.T) {
			each(t, func(t *testing.T, s *ipcmgr.Store) {
				f := s.Features()
				if state.keeps && !f.Suspends {
					err := connect(t, s, "bob").Suspend(testContext(t), time.Time{})
					require.ErrorIs(t, err, errors.ErrUnsupported)
					return
				}
				ctx := testContext(t)
				alice := connect(t, s, "alice")
				state.make(t, s)
				want := state.send
				if state.name == "crashed" && !f.Redelivers {
					want = ipcmgr.ErrPeerCrashed
				}
				err := alice.Send(ctx, "bob", "hello")
				require.ErrorIs(t, err, want)
				accepted := err == nil

				_, err = s.Connect(ctx, "bob")
				if state.plain == nil {
					require.NoError(t, err)
					return
				}
				require.ErrorIs(t, err, state.plain)
				require.ErrorContains(t, err, `"bob"`)

				if state.recon != nil {
					_, err = s.Reconnect(ctx, "bob")
					require.ErrorIs(t, err, state.recon)
					_, err = s.Connect(ctx, "bob", ipcmgr.Resume())
					require.ErrorIs(t, err, state.recon)
					_, err = s.Connect(ctx, "bob", ipcmgr.Fresh())
					require.ErrorIs(t, err, state.recon)
					return
				}
				bob, err := s.Reconnect(ctx, "bob")
				require.NoError(t, err)
				if accepted {
					require.Equal(t, []string{"hello"}, receive(t, bob, 1))
				}
				empty(t, bob)
			})
		})
	}
}

// Resume takes up what there is, and Fresh drops it; a free id is new to both.
func TestResumeAndFresh(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		ctx := testContext(t)
		alice := connect(t, s, "alice")
		bob := connect(t, s, "bob", ipcmgr.Resume())
		require.NoError(t, bob.Disconnect(ctx, nil))
		bob = connect(t, s, "bob", ipcmgr.Fresh())
		require.NoError(t, bob.Disconnect(ctx, nil))

		v := newVictim(t, s, "bob")
		send(t, alice, "bob", "one", "two")
		v.crash()
		kept := s.Features().Redelivers

		bob = connect(t, s, "bob", ipcmgr.Resume())
		require.EqualValues(t, 1, bob.Stats().Crashes)
		if kept {
			require.Equal(t, []string{"one"}, receive(t, bob, 1))
			require.NoError(t, bob.Suspend(ctx, time.Time{}))
		} else {
			empty(t, bob)
			require.NoError(t, bob.Disconnect(ctx, nil))
		}

		bob = connect(t, s, "bob", ipcmgr.Fresh())
		empty(t, bob)
		require.EqualValues(t, map[bool]int64{true: 1, false: 0}[kept], bob.Stats().Dropped["alice"])
		send(t, alice, "bob", "three")
		require.Equal(t, []string{"three"}, receive(t, bob, 1))
		_, err := s.Connect(ctx, "x", ipcmgr.Fresh(), ipcmgr.Resume())
		require.ErrorContains(t, err, "exclude")
	})
}

// Nobody can have an id that escapes from the store, or hides in it.
func TestBadIDs(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		c := connect(t, s, "c")
		for _, id := range []string{"", "0", ".", "..", ".x", "_x", "x.pid", "x.name", "x.resume", "x.stats", "x.suspend", "x.pend",
			"spawn", "\xff", strings.Repeat("x", 513)} {
			_, err := s.Connect(testContext(t), id)
			require.ErrorIs(t, err, ipcmgr.ErrBadID, "%q", id)
			require.ErrorIs(t, c.Send(testContext(t), id, 1), ipcmgr.ErrBadID, "%q", id)
		}
	})
}

// Ids of every allowed kind work as names of mailboxes.
func TestGoodIDs(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		a := connect(t, s, "a")
		for _, id := range []string{"b", "a b", "a/b", `a\b`, "h-x", "h-0123", "é", "日本", "a\nb", "a\x00b", "CON", "x:y", "x*", "-rf", strings.Repeat("l", 512), strings.Repeat("é", 256)} {
			b := connect(t, s, id)
			send(t, a, id, id)
			require.Equal(t, []string{id}, receive(t, b, 1))
			send(t, b, "a", "from "+id)
			m, err := a.Receive(testContext(t))
			require.NoError(t, err)
			require.Equal(t, id, m.From)
			p, err := s.Peer(testContext(t), id)
			require.NoError(t, err)
			require.Equal(t, ipcmgr.Active, p.State)
			require.NoError(t, b.Disconnect(testContext(t), nil))
		}
	})
}

func TestAnonymous(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		ctx := testContext(t)
		bob := connect(t, s, "bob")
		for range 3 {
			c, err := s.ConnectAnonymous(ctx)
			require.NoError(t, err)
			send(t, c, "bob", "hi")
			require.Equal(t, []string{"hi"}, receive(t, bob, 1))
			send(t, bob, c.ID(), "ho")
			require.Equal(t, []string{"ho"}, receive(t, c, 1))
			require.NoError(t, c.Disconnect(ctx, nil))
		}
		require.NoError(t, bob.Disconnect(ctx, nil))
		stats, err := s.Stats(ctx)
		require.NoError(t, err)
		require.Len(t, stats, 2)
		require.EqualValues(t, map[string]int64{"bob": 3}, stats["_cli"].Sent)
		require.EqualValues(t, map[string]int64{"_cli": 3}, stats["bob"].Read)
		audit, err := s.Audit(ctx)
		require.NoError(t, err)
		require.NoError(t, audit.Err())
		require.Len(t, audit.Pairs, 2)
	})
}

func TestClientsOfThisProcess(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		ctx := testContext(t)
		other, err := ipcmgr.Open(ctx, s.Info().String())
		require.NoError(t, err)
		b, a := connect(t, s, "b"), connect(t, other, "a")
		require.NoError(t, other.Close()) // a stays connected
		require.Equal(t, []ipcmgr.Client{a, b}, s.Clients())
		send(t, b, "a", "x")
		require.Equal(t, []string{"x"}, receive(t, a, 1))
		_, err = other.Connect(ctx, "c")
		require.ErrorContains(t, err, "closed")
		require.NoError(t, a.Disconnect(ctx, nil))
		require.Equal(t, []ipcmgr.Client{b}, s.Clients())
	})
}
