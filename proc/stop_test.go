//go:build unix

package proc_test

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/proc"
)

const sigTerm = syscall.SIGTERM

// Who does not ask for messages hears the signal. A parent that can ask nobody
// begins with it, and so the child has all the time that it needs.
func TestStopSignals(t *testing.T) {
	st := spawn(t, "fsqueue+json")
	ctx := testContext(t)
	handle, err := ipcmgr.Open(ctx, st.Info().String())
	require.NoError(t, err)
	defer handle.Close()
	child, err := stubborn.Start(ctx, handle, "kid")
	require.NoError(t, err)
	require.NoError(t, child.Stop(ctx))
}

// Who hears nothing is killed, in the time that there is.
func TestStopKills(t *testing.T) {
	st := spawn(t, "fsqueue+json")
	child, err := deaf.Start(testContext(t), st, "kid")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(testContext(t), time.Second)
	defer cancel()
	err = child.Stop(ctx)
	require.ErrorContains(t, err, "signal: killed")
	var exit *proc.ExitError
	require.ErrorAs(t, err, &exit)
}

// A context that has ended leaves time for nothing but the kill.
func TestStopAtOnce(t *testing.T) {
	st := spawn(t, "fsqueue+json")
	child, err := deaf.Start(testContext(t), st, "kid")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(testContext(t))
	cancel()
	require.ErrorContains(t, child.Stop(ctx), "signal: killed")
	require.ErrorContains(t, child.Stop(ctx), "signal: killed", "a second Stop says the same")
}

// A child that has not connected yet is not asked, but signalled.
func TestStopBeforeReady(t *testing.T) {
	st := spawn(t, "fsqueue+json")
	ctx := testContext(t)
	child, err := proc.Launch(ctx, st, "kid", wrapped(echo))
	require.NoError(t, err)
	err = child.Stop(ctx)
	if err != nil { // it may have been there already
		require.ErrorContains(t, err, "signal: terminated")
	}
}

// A parent that does not own the store asks through its own client.
func TestStopAsksAsAClient(t *testing.T) {
	each(t, func(t *testing.T, st *ipcmgr.Store) {
		ctx := testContext(t)
		handle, err := ipcmgr.Open(ctx, st.Info().String())
		require.NoError(t, err)
		defer handle.Close()
		me, err := handle.Connect(ctx, "me")
		require.NoError(t, err)
		child, err := echo.Start(ctx, handle, "kid")
		require.NoError(t, err)
		require.NoError(t, child.Stop(ctx))
		require.NoError(t, me.Disconnect(ctx, nil))
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	st := spawn(t, "fsqueue+json")
	child, err := echo.Start(testContext(t), st, "kid")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(testContext(t))
	cancel()
	require.ErrorIs(t, child.Wait(ctx), context.Canceled)
	require.NoError(t, child.Stop(testContext(t)))
}
