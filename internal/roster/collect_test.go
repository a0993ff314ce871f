package roster

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/internal/perl"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// temporary gives this test and its children a place of their own.
func temporary(t *testing.T) (base string) {
	dir := newRoute(t)
	t.Setenv("XDG_RUNTIME_DIR", dir)
	t.Setenv("TMPDIR", newRoute(t))
	return filepath.Join(dir, "ipcmgr")
}

// deadStore is a temporary store whose owner was killed.
func deadStore(t *testing.T) string {
	c := start(t, "spawn", "")
	route := c.line()
	require.True(t, filepath.IsAbs(route), route)
	c.kill()
	return route
}

func TestCollectTakesTheDeadAlone(t *testing.T) {
	base := temporary(t)
	dead := deadStore(t)
	owned, err := plainKind.Spawn(t.Context(), "", settings) // which collects in passing
	require.NoError(t, err)
	defer owned.Close()
	require.Equal(t, base, filepath.Dir(owned.Route()))
	require.True(t, owned.Settings().Temporary)
	require.NoDirExists(t, dead)

	inUse := deadStore(t)
	client := start(t, "hold", inUse, "a")
	require.Equal(t, "held", client.line())
	dead = deadStore(t)
	persistent := filepath.Join(base, "aaaaaaaa")
	keep, err := plainKind.Spawn(t.Context(), persistent, settings)
	require.NoError(t, err)
	require.NoError(t, keep.Close())
	strangers := filepath.Join(base, "bbbbbbbb")
	require.NoError(t, os.Mkdir(strangers, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(strangers, "file"), nil, 0o600))
	require.NoError(t, os.Symlink(persistent, filepath.Join(base, "cccccccc")))

	none, err := (&Kind{Protocol: "other"}).Collect(t.Context())
	require.NoError(t, err)
	require.Empty(t, none)
	gone, err := plainKind.Collect(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{dead}, gone)
	require.NoDirExists(t, dead)
	for _, route := range []string{owned.Route(), inUse, persistent} {
		open(t, plainKind, route)
	}
	require.FileExists(t, filepath.Join(strangers, "file"))

	client.kill()
	gone, err = plainKind.Collect(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{inUse}, gone)

	// Neither owned nor used: an open handle alone does not keep it.
	require.NoError(t, owned.Disown(t.Context()))
	gone, err = plainKind.Collect(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{owned.Route()}, gone)
	_, _, err = owned.Peers(t.Context())
	require.ErrorIs(t, err, protocol.ErrNoStore)
}

func TestCollectClearsWhatIsUnfinished(t *testing.T) {
	base := temporary(t)
	require.NoError(t, os.Mkdir(base, 0o700))
	half := func(name string, age time.Duration) string {
		route := filepath.Join(base, name)
		require.NoError(t, os.MkdirAll(filepath.Join(route, Dot+"-abcdefgh", "procs"), 0o700))
		then := time.Now().Add(-age)
		require.NoError(t, os.Chtimes(filepath.Join(route, Dot+"-abcdefgh"), then, then))
		require.NoError(t, os.Chtimes(route, then, then))
		return route
	}
	young, aged := half("aaaaaaaa", -time.Hour), half("bbbbbbbb", 2*abandoned) // young however long this takes
	living := half("cccccccc", 2*abandoned)
	p, err := appear(filepath.Join(living, Dot+"-abcdefgh"))
	require.NoError(t, err)
	empty := filepath.Join(base, "dddddddd")
	require.NoError(t, os.Mkdir(empty, 0o700))
	then := time.Now().Add(-2 * abandoned)
	require.NoError(t, os.Chtimes(empty, then, then))

	_, err = plainKind.Collect(t.Context())
	require.NoError(t, err)
	require.DirExists(t, young)
	require.NoDirExists(t, aged)
	require.DirExists(t, living)
	require.NoDirExists(t, empty)
	require.NoError(t, p.leave(filepath.Join(living, Dot+"-abcdefgh")))
}

// A runtime directory that is not fit for it is passed over.
func TestTemporaryFallsBack(t *testing.T) {
	base := temporary(t)
	require.NoError(t, os.Mkdir(base, 0o700))
	require.NoError(t, os.Chmod(base, 0o777))
	r, err := plainKind.Spawn(t.Context(), "", settings)
	require.NoError(t, err)
	defer r.Close()
	require.True(t, strings.HasPrefix(r.Route(), os.Getenv("TMPDIR")), r.Route())
	require.NoError(t, r.Unspawn(t.Context()))

	tooLong := errors.New("too long")
	k := &Kind{Protocol: "test", Check: func(string) error { return tooLong }}
	_, err = k.Spawn(t.Context(), "", settings)
	require.ErrorIs(t, err, tooLong)
}

// A Perl client that lives keeps a temporary store.
func TestCollectSparesForeignClients(t *testing.T) {
	temporary(t)
	k := &Kind{Protocol: "test", Perl: func(route string) *perl.Route { return &perl.Route{Dir: route, Max: 200} }}
	r, err := k.Spawn(t.Context(), "", settings)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	play := playPerl(t, r.Route(), "p")
	gone, err := k.Collect(t.Context())
	require.NoError(t, err)
	require.Empty(t, gone)
	play.kill()
	gone, err = k.Collect(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{r.Route()}, gone)
	require.DirExists(t, filepath.Join(r.Route(), "p"), "what others made stays")
	require.NoError(t, os.RemoveAll(r.Route()))
}
