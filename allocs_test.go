//go:build !race

package ipcmgr_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What the client itself allocates for a message: nothing to send it, and to
// receive it a share in what is made for many. The race detector empties the
// pools on purpose, so it is not asked.
func TestAllocations(t *testing.T) {
	for _, serializer := range []string{"msgpack", "json"} {
		ctx := t.Context()
		c, box := connectNowhere(t, serializer)
		sent, got := make([]byte, 1024), []byte(nil)
		send := func() { require.NoError(t, c.Send(ctx, "c", &sent)) }
		receive := func() {
			m, err := c.Receive(ctx)
			require.NoError(t, err)
			require.NoError(t, m.Decode(&got))
		}
		contents := make([]any, 100)
		for n := range contents {
			contents[n] = sent
		}
		batch := func() {
			_, err := c.SendBatch(ctx, "c", contents...)
			require.NoError(t, err)
		}
		// A collection in the middle of it empties the pools.
		require.Less(t, testing.AllocsPerRun(2000, send), 0.1, "%s: Send", serializer)
		require.Less(t, testing.AllocsPerRun(100, batch), 1.0, "%s: SendBatch of 100", serializer)
		require.Less(t, testing.AllocsPerRun(5000, receive), 0.1, "%s: Receive of many at once", serializer)
		box.most = 1
		require.Less(t, testing.AllocsPerRun(5000, receive), 0.1, "%s: Receive one by one", serializer)
	}
}
