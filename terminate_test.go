package ipcmgr_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
)

// A loop ends silently when the owner asks to terminate, Receive and Poll give
// ErrTerminated once, and it counts nowhere.
func TestTerminate(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		ctx := testContext(t)
		a, b, c, unread := connect(t, s, "a"), connect(t, s, "b"), connect(t, s, "c"), connect(t, s, "unread")
		require.NoError(t, s.Terminate(ctx))
		send(t, b, "a", "late")

		// Between two senders there is no order: the message of b and the
		// request may come either way. The loop ends at the request, and
		// another one goes on.
		var got []string
		for range 2 {
			for m, err := range a.Messages(ctx) {
				require.NoError(t, err)
				got = append(got, decode(t, m))
				require.NoError(t, m.Ack(ctx))
				break
			}
		}
		require.Equal(t, []string{"late"}, got)
		_, err := b.Receive(ctx)
		require.ErrorIs(t, err, ipcmgr.ErrTerminated)
		empty(t, b)
		_, err = c.Poll(ctx, 10)
		require.ErrorIs(t, err, ipcmgr.ErrTerminated)
		empty(t, c)
		require.NoError(t, ipcmgr.Handle(ctx, unread, func(context.Context, *ipcmgr.Message, any) error { return nil }))
		require.NoError(t, s.Terminate(ctx))
		for _, x := range []ipcmgr.Client{a, b, c, unread} {
			require.NoError(t, x.Disconnect(ctx, nil), "an unread terminate is no unread message")
			require.Empty(t, x.Stats().Read["spawn"])
		}
		peers, err := s.Peers(ctx)
		require.NoError(t, err)
		require.Empty(t, peers, "the guard is no peer")
		stats, err := s.Stats(ctx)
		require.NoError(t, err)
		require.NotContains(t, stats, "spawn")
		require.NoError(t, s.Shutdown(ctx))
	})
}

// The request to terminate is one message, and ends every loop of the client:
// those that wait, and those that begin later, once nothing is ready.
func TestTerminateEndsEveryLoop(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		ctx := testContext(t)
		a := connect(t, s, "a")
		loop := func() {
			for m, err := range a.Messages(ctx) {
				if err != nil {
					t.Error(err, m)
				}
			}
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(loop)
		}
		require.NoError(t, s.Terminate(ctx))
		wg.Wait()
		send(t, a, "a", "ready")
		loop()
		require.EqualValues(t, 1, a.Stats().Read["a"]+int64(unread(t, a)))
	})
}

// unread disconnects a client and says what was unread.
func unread(t *testing.T, c ipcmgr.Client) int64 {
	var e *ipcmgr.UnreadError
	if errors.As(c.Disconnect(testContext(t), nil), &e) {
		return e.Total()
	}
	return 0
}

// A program that asks to terminate, as the owner does, does not disturb the
// audit: it counts for neither.
func TestTerminateByAClient(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		ctx := testContext(t)
		a, b := connect(t, s, "a"), connect(t, s, "b")
		n, err := a.SendBatch(ctx, "b", "one", map[string]any{"terminate": 1}, "two")
		require.NoError(t, err)
		require.Equal(t, 3, n)
		require.EqualValues(t, 2, a.Stats().Sent["b"])
		require.Equal(t, []string{"one"}, receive(t, b, 1))
		_, err = b.Receive(ctx)
		require.ErrorIs(t, err, ipcmgr.ErrTerminated)
		require.Equal(t, []string{"two"}, receive(t, b, 1))
		require.NoError(t, b.Disconnect(ctx, nil))
		require.NoError(t, a.Disconnect(ctx, nil))
		require.NoError(t, s.Shutdown(ctx), "the audit is in it")
	})
}
