//go:build unix

package unixsocket

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// A client that refuses messages reads no connection any more, and a sender of
// its that waits for room learns all the same that the peer has crashed.
func TestSealedSenderLearnsOfItsPeersCrash(t *testing.T) {
	s := spawned(t, func(set *protocol.Settings) { set.MaxPending = 1 })
	a, _ := joined(t, s, "a")
	h, err := Protocol{}.Open(within(t), s.Route())
	require.NoError(t, err)
	_, err = h.Connect(within(t), options("b", protocol.New, nil))
	require.NoError(t, err)
	send(t, a, "b", "one")
	require.NoError(t, a.Seal(within(t)))
	_, err = a.Deliver(within(t), "b", frames("two"), false)
	require.ErrorIs(t, err, protocol.ErrFull)

	done := make(chan error, 1)
	go func() {
		_, err := a.Deliver(within(t), "b", frames("two"), true)
		done <- err
	}()
	for a.blocked.Load() == 0 {
		require.Empty(t, done, "it does not wait")
		runtime.Gosched()
	}
	require.NoError(t, h.Close()) // as a crash
	require.ErrorIs(t, <-done, protocol.ErrPeerCrashed)
}
