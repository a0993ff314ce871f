package ipcmgr_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
)

// RequeueAll puts back what is in hand, and nothing else, in its order.
func TestRequeueAll(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		c := connect(t, s, "me", ipcmgr.ManualAck())
		send(t, c, "me", "one", "two", "three", "four", "five")
		var ms []*ipcmgr.Message
		for range 4 {
			m, err := c.Receive(testContext(t))
			require.NoError(t, err)
			ms = append(ms, m)
		}
		require.NoError(t, ms[1].Ack(testContext(t)))
		require.NoError(t, c.RequeueAll())
		require.Error(t, ms[0].Requeue(), "it was put back")
		if s.Features().Suspends {
			require.NoError(t, c.Suspend(testContext(t), time.Time{}))
			require.ErrorIs(t, c.RequeueAll(), ipcmgr.ErrClosed)
			var err error
			c, err = s.Reconnect(testContext(t), "me")
			require.NoError(t, err)
		}
		for _, want := range []string{"one", "three", "four", "five"} {
			m, err := c.Receive(testContext(t))
			require.NoError(t, err)
			require.Equal(t, want, decode(t, m))
			require.Equal(t, want != "five", m.Redelivered, want)
		}
		empty(t, c)
		require.NoError(t, c.RequeueAll(), "there may be nothing")
	})
}

// The owner may ask one client to terminate, and leave the others alone.
func TestTerminatePeer(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		ctx := testContext(t)
		a, b := connect(t, s, "a"), connect(t, s, "b")
		require.NoError(t, s.TerminatePeer(ctx, "a"))
		_, err := a.Receive(ctx)
		require.ErrorIs(t, err, ipcmgr.ErrTerminated)
		empty(t, b)
		require.ErrorIs(t, s.TerminatePeer(ctx, "nobody"), ipcmgr.ErrNoPeer)
		require.Zero(t, a.Stats().Read["spawn"])

		other, err := ipcmgr.Open(ctx, s.Info().String())
		require.NoError(t, err)
		require.ErrorIs(t, other.TerminatePeer(ctx, "b"), ipcmgr.ErrNotOwner)
		require.NoError(t, other.Close())
	})
}
