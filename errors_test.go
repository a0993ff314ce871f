package ipcmgr_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
)

// An error says once what failed, for whom, and why.
func TestErrorsAreShort(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		ctx := testContext(t)
		store := " (store " + s.Info().Redacted() + ")"
		a := connect(t, s, "a")
		_, err := s.Connect(ctx, "a")
		require.ErrorIs(t, err, ipcmgr.ErrPeerActive)
		says(t, err, `connect as "a": peer is active`, store)
		_, err = s.Reconnect(ctx, "a")
		says(t, err, `reconnect as "a": connect: peer is active`, store)
		says(t, a.Send(ctx, "nobody", 1), `send as "a" to "nobody": no such peer`, store)
		_, err = s.Peer(ctx, "nobody")
		says(t, err, `peer "nobody": no such peer`, store)
		_, err = ipcmgr.Spawn(ctx, ipcmgr.Config{Protocol: ipcmgr.Names{s.Info().Protocol}, Serializer: s.Info().Serializer, Route: s.Info().Route})
		says(t, err, "spawn: store exists", store)

		m := ipcmgr.NewMessage(1)
		m.Headers = map[string]string{"key": "\xff"}
		err = a.Send(ctx, "a", m)
		require.ErrorContains(t, err, `the header "key" is not valid UTF-8`)
		require.NotContains(t, err.Error(), "[]byte")

		over, cancel := context.WithCancelCause(ctx)
		cancel(errors.New("no more time"))
		says(t, s.WaitPeer(over, "a", "nobody"), `wait for peers: no more time: "nobody" is missing`, store)
		says(t, s.WaitUntil(over, func([]ipcmgr.Peer) bool { return false }), "wait for peers: no more time: not yet", store)
		err = s.Wait(over)
		require.ErrorContains(t, err, `wait until all have left: no more time: "a" (pid `)
		require.ErrorContains(t, err, ") is still there"+store)
	})
}

// says holds that an error begins and ends so. A protocol may add between them
// what it knows beyond the reason.
func says(t *testing.T, err error, begin, end string) {
	t.Helper()
	require.Error(t, err)
	require.True(t, strings.HasPrefix(err.Error(), begin), err.Error())
	require.True(t, strings.HasSuffix(err.Error(), end), err.Error())
	require.NotRegexp(t, `: \w+: \w+ "`, err.Error(), "the protocol's error has been left in")
}

// Who could not be asked to terminate is told without the client in whose name
// the owner asks.
func TestErrorOfTerminate(t *testing.T) {
	s := spawn(t, ipcmgr.Config{Protocol: ipcmgr.Names{"mem"}, MaxPending: 1})
	a := connect(t, s, "a")
	send(t, a, "a", "full")
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	err := s.TerminatePeer(ctx, "a")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotContains(t, err.Error(), "broadcast")
	require.NotContains(t, err.Error(), `"spawn"`)
	require.Equal(t, []string{"full"}, receive(t, a, 1))
}
