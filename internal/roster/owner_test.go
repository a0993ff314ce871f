package roster

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/internal/filelock"
	"github.com/ipcmgr/ipcmgr/protocol"
)

func TestOwners(t *testing.T) {
	r := spawn(t, plainKind)
	other := open(t, plainKind, r.Route())
	require.True(t, r.Owned())
	require.ErrorIs(t, other.Own(t.Context(), false), protocol.ErrOwned)
	require.NoError(t, r.Own(t.Context(), false), "again")
	require.NoError(t, other.Own(t.Context(), true))
	require.False(t, r.Owned())
	require.ErrorIs(t, r.Unspawn(t.Context()), protocol.ErrNotOwner)
	require.NoError(t, r.Disown(t.Context()), "what it has lost")
	require.True(t, other.Owned())
	require.NoError(t, other.Close())
	require.NoError(t, r.Own(t.Context(), false))
}

func TestOwnerThatWasKilled(t *testing.T) {
	route := newRoute(t)
	c := start(t, "spawn", route)
	require.Equal(t, route, c.line())
	r := open(t, plainKind, route)
	require.ErrorIs(t, r.Own(t.Context(), false), protocol.ErrOwned)
	c.kill()
	require.NoError(t, r.Own(t.Context(), false))
	require.NoError(t, r.Unspawn(t.Context()))
}

func TestDamagedOwner(t *testing.T) {
	r := spawn(t, plainKind)
	require.NoError(t, os.WriteFile(r.Path("owner"), []byte(`{"token":"../../x"}`), 0o600))
	require.False(t, r.Owned())
	require.NoError(t, r.Own(t.Context(), false))
}

// Waiting for the store's lock ends with the context.
func TestLockIsWaitedForWithContext(t *testing.T) {
	r := spawn(t, plainKind)
	e := enter(t, r, "a", protocol.New)
	lock, err := filelock.Lock(t.Context(), r.Path("lock"))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err = r.Enter(ctx, options("b", protocol.New), noSetup)
	require.Equal(t, context.DeadlineExceeded, err)
	require.Equal(t, context.DeadlineExceeded, e.Leave(ctx, protocol.Departure{}, nil))
	require.Equal(t, context.DeadlineExceeded, r.Own(ctx, true))
	require.NoError(t, lock.Unlock())
	seen, err := r.Look("a")
	require.NoError(t, err)
	require.Equal(t, protocol.Crashed, seen.State, "who has stopped waiting has left")
}
