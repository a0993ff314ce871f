//go:build linux && !ipcmgr_fallback

package shm

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// A ring in which there is something that no sender wrote is set aside. What was
// fetched before stays readable, and all goes on in another ring.
func TestDamagedRing(t *testing.T) {
	st := spawnStore(t, settings)
	a, b := connect(t, st, "a", protocol.New), connect(t, st, "b", protocol.New)
	other := connect(t, st, "other", protocol.New)
	deliver(t, a, "b", letters(0, 10, 100))
	held := fetch(t, b, 0, 3, 100)
	deliver(t, other, "b", letters(100, 1, 100))

	r, err := openRing(ringsWith(t, b, "a")[0])
	require.NoError(t, err)
	defer r.unmap()
	r.at(3 * span(100)).Store(1 << 20)

	ack(t, b, fetch(t, b, 100, 1, 100)...)
	empty(t, b)
	require.Empty(t, ringsWith(t, b, "a"))
	aside, err := filepath.Glob(filepath.Join(st.Route(), ".ipcmgr/corrupt/b/*-a.reason"))
	require.NoError(t, err)
	require.Len(t, aside, 1)
	reason, err := os.ReadFile(aside[0])
	require.NoError(t, err)
	require.Equal(t, "the ring is damaged: no record at 336\n", string(reason))

	for i, d := range held {
		require.Equal(t, letters(i, 1, 100)[0].Data, d.Data)
	}
	ack(t, b, held...)
	deliver(t, a, "b", letters(0, 10, 100))
	ack(t, b, fetch(t, b, 0, 10, 100)...)
	msgs, bytes := b.keeper.Pending()
	require.Zero(t, msgs)
	require.Zero(t, bytes)
}

func ringsWith(t testing.TB, m *mailbox, key string) (paths []string) {
	t.Helper()
	for _, path := range ringsOf(t, m) {
		if name, err := parseRingName(filepath.Base(path)); err == nil && name.key == key {
			paths = append(paths, path)
		}
	}
	return paths
}

// Marks that are lost, and rubbish among the rings, keep nobody from taking the
// mailbox up, nor those who know the old marks from sending.
func TestLostMarks(t *testing.T) {
	st := spawnStore(t, settings)
	a, b := connect(t, st, "a", protocol.New), connect(t, st, "b", protocol.New)
	deliver(t, a, "b", letters(0, 1, 10))
	b.abandon()
	require.NoError(t, os.Truncate(filepath.Join(b.box, marksFile), 8*markWords)) // as it was
	require.NoError(t, os.Rename(filepath.Join(b.box, marksFile), filepath.Join(b.box, "lost")))
	require.NoError(t, os.WriteFile(filepath.Join(b.box, ringsDir, "rubbish"), []byte("rubbish"), 0o600))
	b = connect(t, st, "b", protocol.Reconnect)
	deliver(t, a, "b", letters(1, 1, 10))
	ack(t, b, fetch(t, b, 0, 2, 10)...)
	empty(t, b)
	require.NoFileExists(t, filepath.Join(b.box, ringsDir, "rubbish"))
}

// A store is in memory or nowhere.
func TestRouteOnDisk(t *testing.T) {
	_, err := Protocol{}.Spawn(within(t), "/proc/ipcmgr", protocol.Settings{})
	require.ErrorContains(t, err, "/proc is not on tmpfs: choose a route below /dev/shm")
}
