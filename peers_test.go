package ipcmgr_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/protocol/mem"
)

func TestPeers(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		ctx := testContext(t)
		peers, err := s.Peers(ctx)
		require.NoError(t, err)
		require.Empty(t, peers)
		_, err = s.Peer(ctx, "b")
		require.ErrorIs(t, err, ipcmgr.ErrNoPeer)
		b := connect(t, s, "b")
		connect(t, s, "a", ipcmgr.Attrs(map[string]string{"k": "v"}))
		peers, err = s.Peers(ctx)
		require.NoError(t, err)
		require.Len(t, peers, 2)
		require.Equal(t, "a", peers[0].ID)
		require.Equal(t, map[string]string{"k": "v"}, peers[0].Attrs)
		require.Equal(t, "b", peers[1].ID)
		require.Equal(t, os.Getpid(), peers[1].PID)
		require.Equal(t, ipcmgr.Active, peers[1].State)
		require.Empty(t, peers[1].Attrs)

		attrs := map[string]string{"port": "80"}
		require.NoError(t, b.SetAttrs(ctx, attrs))
		attrs["port"] = "the map is the caller's"
		p, err := s.Peer(ctx, "b")
		require.NoError(t, err)
		require.Equal(t, map[string]string{"port": "80"}, p.Attrs)
		require.Equal(t, p.Attrs, b.Attrs())
		require.ErrorIs(t, b.SetAttrs(ctx, map[string]string{"x": string(make([]byte, ipcmgr.MaxAttrs))}), ipcmgr.ErrTooLarge)
	})
}

func TestWaitPeerAndWatch(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		ctx := testContext(t)
		type change struct {
			id    string
			state ipcmgr.State
			attr  string
		}
		changes := make(chan change, 100)
		watching, stop := context.WithCancelCause(ctx)
		enough := errors.New("enough")
		ended := make(chan error)
		go func() {
			for p, err := range s.Watch(watching) {
				if err != nil {
					ended <- err
					return
				}
				changes <- change{p.ID, p.State, p.Attrs["k"]}
			}
		}()
		waited := make(chan error)
		go func() { waited <- s.WaitPeer(ctx, "a", "v") }()
		a := connect(t, s, "a")
		require.Equal(t, change{"a", ipcmgr.Active, ""}, <-changes)
		require.NoError(t, a.SetAttrs(ctx, map[string]string{"k": "v"}))
		require.Equal(t, change{"a", ipcmgr.Active, "v"}, <-changes)
		v := newVictim(t, s, "v")
		require.NoError(t, <-waited)
		require.NoError(t, s.WaitPeer(ctx, "a"))
		require.Equal(t, change{"v", ipcmgr.Active, ""}, <-changes)
		v.crash()
		require.Equal(t, change{"v", ipcmgr.Crashed, ""}, <-changes)
		if s.Features().Suspends {
			require.NoError(t, a.Suspend(ctx, time.Time{}))
			require.Equal(t, change{"a", ipcmgr.Suspended, "v"}, <-changes)
			var err error
			a, err = s.Reconnect(ctx, "a")
			require.NoError(t, err)
			require.Equal(t, change{"a", ipcmgr.Active, "v"}, <-changes)
		}
		require.NoError(t, a.Disconnect(ctx, nil))
		require.Equal(t, change{"a", ipcmgr.Gone, ""}, <-changes)
		stop(enough)
		require.ErrorIs(t, <-ended, enough)

		short, cancel := context.WithTimeoutCause(ctx, time.Millisecond, enough)
		defer cancel()
		err := s.WaitPeer(short, "v", "x")
		require.ErrorIs(t, err, enough)
		require.ErrorContains(t, err, `: "v" is crashed, "x" is missing (`)
	})
}

// Watch tells when a suspension becomes overdue, and nothing wakes it before.
func TestWatchTellsOfADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, a := virtual(t)
		require.NoError(t, a.Suspend(t.Context(), time.Now().Add(time.Hour)))
		start := time.Now()
		told := 0
		for p, err := range s.Watch(t.Context()) {
			require.NoError(t, err)
			require.Equal(t, ipcmgr.Suspended, p.State)
			if told++; told == 2 {
				require.True(t, p.Overdue(time.Now()))
				break
			}
		}
		require.InDelta(t, time.Hour, time.Since(start), float64(time.Second))
		require.NoError(t, s.Close())
	})
}

// Send to a suspended peer is accepted until its deadline, and not after it.
func TestDeadlineOfASuspension(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		s, a := virtual(t)
		b, err := s.Connect(ctx, "b")
		require.NoError(t, err)
		require.NoError(t, a.Suspend(ctx, time.Now().Add(time.Minute)))
		require.NoError(t, b.Send(ctx, "a", "in time"))
		<-time.After(2 * time.Minute) // virtual
		require.ErrorIs(t, b.Send(ctx, "a", "too late"), ipcmgr.ErrPeerGone)
		a, err = s.Reconnect(ctx, "a")
		require.NoError(t, err)
		require.Equal(t, []string{"in time"}, receive(t, a, 1))
		require.NoError(t, s.Close())
	})
}

// virtual makes a store and a client for a test in virtual time.
func virtual(t *testing.T) (*ipcmgr.Store, ipcmgr.Client) {
	s, err := ipcmgr.Spawn(t.Context(), ipcmgr.Config{Protocol: ipcmgr.Names{mem.Protocol{}.Name()}})
	require.NoError(t, err)
	a, err := s.Connect(t.Context(), "a")
	require.NoError(t, err)
	return s, a
}
