package roster

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// interlude is a context that does something when it is first looked at.
type interlude struct {
	context.Context
	do func()
}

func (i *interlude) Err() error {
	do := i.do
	i.do = func() {}
	do()
	return i.Context.Err()
}

// Who comes for the lock of a store and finds that it has gone meanwhile is
// told so.
func TestLockOfAStoreThatGoes(t *testing.T) {
	k := &Kind{Protocol: "test"}
	r, err := k.Spawn(t.Context(), filepath.Join(t.TempDir(), "s"), protocol.Settings{})
	require.NoError(t, err)
	other, err := k.Open(t.Context(), r.Route())
	require.NoError(t, err)
	ctx := &interlude{t.Context(), func() { require.NoError(t, r.Unspawn(t.Context())) }}
	err = other.Locked(ctx, func() error { t.Error("it was called"); return nil })
	require.ErrorIs(t, err, protocol.ErrNoStore)
	require.ErrorContains(t, err, "was unspawned")
	require.NoError(t, other.Close())
	require.NoError(t, r.Close())
}

// A person who has looked at what was set aside removes the directory.
func TestDirectoriesThatHoldNothing(t *testing.T) {
	k := &Kind{Protocol: "test"}
	r, err := k.Spawn(t.Context(), filepath.Join(t.TempDir(), "s"), protocol.Settings{})
	require.NoError(t, err)
	for _, name := range []string{"tmp", "corrupt"} {
		require.NoError(t, os.Remove(r.Path(name)))
	}
	other, err := k.Open(t.Context(), r.Route())
	require.NoError(t, err)
	for _, name := range []string{"tmp", "corrupt"} {
		info, err := os.Lstat(r.Path(name))
		require.NoError(t, err)
		require.Equal(t, os.ModeDir|0o700, info.Mode())
	}
	e, err := other.Enter(t.Context(), protocol.ConnectOptions{ID: "a"}, func(*Entry) error { return nil })
	require.NoError(t, err)
	require.NoError(t, e.Leave(t.Context(), protocol.Departure{}, nil))
	require.NoError(t, other.Close())
	require.NoError(t, r.Unspawn(t.Context()))
	require.NoError(t, r.Close())
}
