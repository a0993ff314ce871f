//go:build unix

package proc_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/proc"
)

// A child that fails loses nothing where mailboxes are kept: not even what it
// had in hand.
func TestFailingChildKeepsItsMailbox(t *testing.T) {
	wants := map[string]string{
		"error":  "failed as asked",
		"panic":  "panic: as asked",
		"goexit": "ended its goroutine",
		"kill":   "signal: killed",
	}
	each(t, func(t *testing.T, st *ipcmgr.Store) {
		if !st.Features().Suspends {
			return
		}
		ctx := testContext(t)
		me := connect(t, st, "me")
		for how, want := range wants {
			child, err := faulty.Start(ctx, st, "kid")
			require.NoError(t, err)
			_, err = me.SendBatch(ctx, "kid", how, "two", "three")
			require.NoError(t, err)
			err = child.Wait(ctx)
			require.ErrorContains(t, err, want)
			var exit *proc.ExitError
			require.ErrorAs(t, err, &exit)
			if how != "kill" {
				require.Equal(t, 1, exit.State.ExitCode())
				peer, err := st.Peer(ctx, "kid")
				require.NoError(t, err)
				require.Equal(t, ipcmgr.Suspended, peer.State)
			}
			child, err = faulty.Start(ctx, st, "kid")
			require.NoError(t, err)
			for _, want := range []string{how, "two", "three"} {
				got, err := ipcmgr.ReceiveAs[string](ctx, me)
				require.NoError(t, err)
				require.Equal(t, want, got)
			}
			require.NoError(t, child.Stop(ctx))
		}
	})
}

// Where none is kept, it leaves in order all the same.
func TestFailingChildDisconnects(t *testing.T) {
	st := spawn(t, "unixsocket+json")
	ctx := testContext(t)
	me := connect(t, st, "me")
	child, err := faulty.Start(ctx, st, "kid")
	require.NoError(t, err)
	require.NoError(t, me.Send(ctx, "kid", "error"))
	require.ErrorContains(t, child.Wait(ctx), "failed as asked")
	_, err = st.Peer(ctx, "kid")
	require.ErrorIs(t, err, ipcmgr.ErrNoPeer)
}

// A child whose function returns nil reports what it left unread, and that is
// no failure.
func TestUnreadIsReported(t *testing.T) {
	each(t, func(t *testing.T, st *ipcmgr.Store) {
		ctx := testContext(t)
		me := connect(t, st, "me")
		var seen strings.Builder
		child, err := stubborn.Start(ctx, st, "kid", proc.LinesTo(&seen))
		require.NoError(t, err)
		require.NoError(t, me.Send(ctx, "kid", "never read"))
		require.NoError(t, me.Disconnect(ctx, nil)) // which closes its connection, so all has arrived
		require.NoError(t, child.Signal(sigTerm))
		require.NoError(t, child.Wait(ctx))
		require.Contains(t, seen.String(), `"kid" left with unread messages`)
	})
}
