package ipcmgr_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
)

// What Next hands out is acknowledged by nobody but the program, in any order.
func TestNext(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		a, b := connect(t, s, "a"), connect(t, s, "b")
		m, err := b.TryNext(testContext(t))
		require.NoError(t, err)
		require.Nil(t, m)
		send(t, a, "b", "one", "two", "three")
		var ms []*ipcmgr.Message
		for range 3 {
			m, err := b.Next(testContext(t))
			require.NoError(t, err)
			ms = append(ms, m)
		}
		require.Zero(t, b.Stats().Read["a"])
		for n, want := range []string{"three", "one", "two"} {
			m := ms[(n+2)%3]
			require.Equal(t, want, decode(t, m))
			require.NoError(t, m.Ack(testContext(t)))
			require.EqualValues(t, n+1, b.Stats().Read["a"])
		}
		require.NoError(t, s.Terminate(testContext(t)))
		_, err = b.Next(testContext(t))
		require.ErrorIs(t, err, ipcmgr.ErrTerminated)
		m, err = b.TryNext(testContext(t))
		require.NoError(t, err)
		require.Nil(t, m)
	})
}

// Nor is it when its client leaves: it is put back.
func TestNextIsNotSettledByLeaving(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		ctx := testContext(t)
		a, b := connect(t, s, "a"), connect(t, s, "b")
		send(t, a, "b", "one", "two", "three", "four")
		require.Equal(t, []string{"one"}, receive(t, b, 1)) // acknowledged by leaving
		for range 2 {
			_, err := b.Next(ctx)
			require.NoError(t, err)
		}
		var err error
		if s.Features().Suspends {
			require.NoError(t, b.Suspend(ctx, time.Time{}))
			b, err = s.Reconnect(ctx, "b")
			require.NoError(t, err)
			for _, again := range []bool{true, true, false} {
				m, err := b.Next(ctx)
				require.NoError(t, err)
				require.Equal(t, again, m.Redelivered)
			}
		}
		err = b.Disconnect(ctx, nil)
		var unread *ipcmgr.UnreadError
		require.ErrorAs(t, err, &unread)
		require.Equal(t, map[string]int64{"a": 3}, unread.From)
		require.EqualValues(t, 1, b.Stats().Read["a"])
	})
}

// What is handed on is acknowledged by leaving, as what Receive hands out; what
// is put back is not.
func TestHandOn(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		ctx := testContext(t)
		a, b := connect(t, s, "a"), connect(t, s, "b")
		manual := connect(t, s, "manual", ipcmgr.ManualAck())
		for _, c := range []ipcmgr.Client{b, manual} {
			send(t, a, c.ID(), "one", "two", "three")
			for n := range 2 {
				m, err := c.Next(ctx)
				require.NoError(t, err)
				require.Equal(t, c == b, m.HandOn())
				if n == 1 {
					require.NoError(t, m.Requeue())
				}
			}
			err := c.Disconnect(ctx, nil)
			var unread *ipcmgr.UnreadError
			require.ErrorAs(t, err, &unread)
			require.Equal(t, map[string]int64{"a": 2}, unread.From)
			require.EqualValues(t, 1, c.Stats().Read["a"])
		}
		require.False(t, ipcmgr.NewMessage(1).HandOn())
	})
}

func ExampleStore_WaitUntil() {
	ctx := context.Background()
	err := ipcmgr.Run(ctx, ipcmgr.Config{Protocol: ipcmgr.Names{"mem"}}, func(ctx context.Context, s *ipcmgr.Store) error {
		var others sync.WaitGroup
		defer others.Wait()
		others.Go(func() {
			s.Connect(ctx, "a")
			s.Connect(ctx, "b")
		})
		return s.WaitUntil(ctx, func(peers []ipcmgr.Peer) bool { return len(peers) == 2 })
	})
	fmt.Println(err)
	// Output: <nil>
}
