package roster

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/internal/disk/diskfault"
	"github.com/ipcmgr/ipcmgr/protocol"
)

func TestSettingsAreThoseOfTheStore(t *testing.T) {
	r := spawn(t, plainKind)
	require.Equal(t, settings, open(t, plainKind, r.Route()).Settings())
	require.DirExists(t, r.Path("more"))
}

func TestSpawnRefusesWhatStands(t *testing.T) {
	r := spawn(t, plainKind)
	_, err := plainKind.Spawn(t.Context(), r.Route(), settings)
	require.ErrorIs(t, err, protocol.ErrStoreExists)
	_, err = (&Kind{Protocol: "other"}).Spawn(t.Context(), r.Route(), settings)
	require.ErrorIs(t, err, protocol.ErrStoreExists)
	_, err = (&Kind{Protocol: "other"}).Open(t.Context(), r.Route())
	require.ErrorIs(t, err, protocol.ErrNoStore)
}

func TestOpenOfNothing(t *testing.T) {
	for _, route := range []string{newRoute(t), filepath.Join(newRoute(t), "missing")} {
		_, err := plainKind.Open(t.Context(), route)
		require.ErrorIs(t, err, protocol.ErrNoStore)
	}
}

func TestOpenOfAnotherVersion(t *testing.T) {
	r := spawn(t, plainKind)
	h := r.head
	h.Version++
	data, err := json.Marshal(h)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(r.Path("store"), data, 0o600))
	_, err = plainKind.Open(t.Context(), r.Route())
	require.ErrorIs(t, err, protocol.ErrVersion)
}

func TestRoutesThatAreNotSafe(t *testing.T) {
	dir := newRoute(t)
	link := filepath.Join(dir, "link")
	require.NoError(t, os.Mkdir(filepath.Join(dir, "real"), 0o700))
	require.NoError(t, os.Symlink("real", link))
	shared := filepath.Join(dir, "shared")
	require.NoError(t, os.Mkdir(shared, 0o700))
	require.NoError(t, os.Chmod(shared, 0o777))
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for route, why := range map[string]string{
		link:                                    "symbolic link",
		link + "/":                              "symbolic link",
		shared:                                  "chmod",
		file:                                    "not a directory",
		"relative/route":                        "not absolute",
		"/":                                     "root of a file system",
		filepath.Join(dir, "missing", "parent"): "does not exist",
	} {
		_, err := plainKind.Spawn(t.Context(), route, settings)
		require.ErrorContains(t, err, why, route)
	}
	dotLink := filepath.Join(dir, "real", Dot)
	require.NoError(t, os.Symlink(dir, dotLink))
	_, err := plainKind.Open(t.Context(), filepath.Join(dir, "real"))
	require.ErrorContains(t, err, "symbolic link")
}

func TestSpawnMakesTheRouteAndUnspawnRemovesIt(t *testing.T) {
	parent := newRoute(t)
	route := filepath.Join(parent, "made") + "/" // used as given
	r, err := plainKind.Spawn(t.Context(), route, settings)
	require.NoError(t, err)
	defer r.Close()
	require.Equal(t, route, r.Route())
	require.NoError(t, r.Unspawn(t.Context()))
	require.NoDirExists(t, route)

	r, err = plainKind.Spawn(t.Context(), route, settings)
	require.NoError(t, err)
	defer r.Close()
	strangers := filepath.Join(route, "strangers")
	require.NoError(t, os.WriteFile(strangers, nil, 0o600))
	require.NoError(t, r.Unspawn(t.Context()))
	require.FileExists(t, strangers)
}

// Whatever file call of Spawn fails, there is a whole store or nothing at all.
func TestSpawnIsWholeOrNothing(t *testing.T) {
	broken := errors.New("broken")
	for fails := 1; ; fails++ {
		calls, spawning := 0, true
		k := &Kind{Protocol: "test", FS: diskfault.New(disk.Real, func(op, name string) error {
			if calls++; spawning && calls == fails {
				return broken
			}
			return nil
		})}
		s := settings
		s.Sync = true
		route := filepath.Join(newRoute(t), "route")
		r, err := k.Spawn(t.Context(), route, s)
		spawning = false
		if err != nil {
			require.ErrorIs(t, err, broken, "call %d", fails)
			require.NoDirExists(t, filepath.Join(route, Dot), "call %d", fails)
			require.NoError(t, present0(), "call %d", fails)
			continue
		}
		require.NoError(t, r.Unspawn(t.Context()))
		require.NoError(t, r.Close())
		require.NoDirExists(t, route)
		if calls < fails {
			require.Greater(t, fails, 20)
			return
		}
		// Else the call was one whose failure means nothing.
	}
}

// present0 says whether this process is still present in some store.
func present0() error {
	present.Lock()
	defer present.Unlock()
	if len(present.all) > 0 {
		return errors.New("present in a store that it has left")
	}
	return nil
}

func init() {
	roles["spawn"] = func(args []string) {
		r, err := plainKind.Spawn(context.Background(), args[0], settings)
		if errors.Is(err, protocol.ErrStoreExists) {
			stay("exists")
			return
		}
		check(err)
		stay(r.Route())
	}
}

func TestSpawnRace(t *testing.T) {
	route := filepath.Join(newRoute(t), "route")
	var racers []*child
	for range 12 {
		racers = append(racers, start(t, "spawn", route))
	}
	won := 0
	for _, c := range racers {
		switch said := c.line(); said {
		case route:
			won++
		case "exists":
		default:
			t.Fatal(said)
		}
	}
	require.Equal(t, 1, won)
	left, err := os.ReadDir(route)
	require.NoError(t, err)
	require.Len(t, left, 1)
	r := open(t, plainKind, route)
	require.ErrorIs(t, r.Own(t.Context(), false), protocol.ErrOwned)
	for _, c := range racers {
		c.kill()
	}
	require.NoError(t, r.Own(t.Context(), false))
	require.NoError(t, r.Unspawn(t.Context()))
}

func TestKey(t *testing.T) {
	for _, id := range []string{"a", "a b", "worker-1", "ä", "_cli", strings.Repeat("x", 200), "spawn", "a.b"} {
		require.Equal(t, id, Key(id))
	}
	seen := map[string]bool{}
	for _, id := range []string{"", ".", "..", ".a", "h-a", "a/b", `a\b`, "a\x00", "a\n", "a:b", "a.", "a ", "nul", "COM1.x", strings.Repeat("x", 201)} {
		key := Key(id)
		require.Regexp(t, `^h-[0-9a-f]{40}$`, key, id)
		require.False(t, seen[key])
		seen[key] = true
	}
}

// A power cut while a store is removed can leave its directory without what was
// in it. That is no store, and does not keep one from being made.
func TestSpawnClearsRubble(t *testing.T) {
	route := newRoute(t)
	require.NoError(t, os.MkdirAll(filepath.Join(route, Dot, "peers"), 0o700))
	_, err := plainKind.Open(t.Context(), route)
	require.ErrorIs(t, err, protocol.ErrNoStore)
	r, err := plainKind.Spawn(t.Context(), route, settings)
	require.NoError(t, err)
	require.NoError(t, r.Close())
}
