package ipcmgr_test

import (
	"context"
	"fmt"
	"testing"

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

func ExampleStore_WaitUntil() {
	ctx := context.Background()
	err := ipcmgr.Run(ctx, ipcmgr.Config{Protocol: ipcmgr.Names{"mem"}}, func(ctx context.Context, s *ipcmgr.Store) error {
		go func() {
			s.Connect(ctx, "a")
			s.Connect(ctx, "b")
		}()
		return s.WaitUntil(ctx, func(peers []ipcmgr.Peer) bool { return len(peers) == 2 })
	})
	fmt.Println(err)
	// Output: <nil>
}
