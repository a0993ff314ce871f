package fsqueue

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/internal/disk/diskfault"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// What comes afterwards is read into the memory of what is acknowledged, and of
// nothing else.
func TestMemoryIsUsedAgainOnlyWhenAcknowledged(t *testing.T) {
	st := storeOver(t, disk.Real, false)
	al, bo := join(t, st, "al"), join(t, st, "bo")
	batch := func(round int) []string {
		texts := make([]string, 3)
		for i := range texts {
			texts[i] = strings.Repeat(fmt.Sprintf("message %d of round %d ", i, round), 20)
		}
		return texts
	}
	kept := map[string]protocol.Delivery{}
	for round := range 50 {
		texts := batch(round)
		_, err := give(t, al, "bo", texts...)
		require.NoError(t, err)
		ds := make([]protocol.Delivery, 3)
		n, err := bo.Fetch(t.Context(), ds, true)
		require.NoError(t, err)
		require.Equal(t, 3, n)
		switch round % 3 {
		case 0: // all
			require.NoError(t, bo.Ack(t.Context(), ds))
		case 1: // but for one
			require.NoError(t, bo.Ack(t.Context(), []protocol.Delivery{ds[0], ds[2], ds[0]}))
			kept[texts[1]] = ds[1]
		case 2: // none
			for i := range ds {
				kept[texts[i]] = ds[i]
			}
		}
		for text, d := range kept {
			require.Equal(t, text, string(d.Data))
		}
	}
	for _, d := range kept {
		require.NoError(t, bo.Ack(t.Context(), []protocol.Delivery{d}))
		require.NoError(t, bo.Ack(t.Context(), []protocol.Delivery{d}), "it is acknowledged already")
	}
	n, err := st.Unread(t.Context(), "bo")
	require.NoError(t, err)
	require.Zero(t, n)
}

// A file that is handed out in part costs lines in the ledger, so it is left for
// the next time, unless nothing else would be handed out.
func TestFilesAreHandedOutWhole(t *testing.T) {
	st := storeOver(t, disk.Real, false)
	al, bo := join(t, st, "al"), join(t, st, "bo")
	for _, batch := range []string{"abc", "def", "ghijklmn"} {
		_, err := give(t, al, "bo", strings.Split(batch, "")...)
		require.NoError(t, err)
	}
	for _, want := range []string{"abc", "def", "ghijk", "lmn"} {
		ds := make([]protocol.Delivery, 5)
		n, err := bo.Fetch(t.Context(), ds, false)
		require.NoError(t, err)
		var got string
		for _, d := range ds[:n] {
			got += string(d.Data)
		}
		require.Equal(t, want, got)
		require.NoError(t, bo.Ack(t.Context(), ds[:n]))
	}
}

// A holder was killed between recording the last acknowledgement of a file and
// removing it, and the next one cannot remove it either.
func TestWhatIsAcknowledgedStaysSoWhenItsFileCannotBeRemoved(t *testing.T) {
	fsys := diskfault.New(disk.Real, nil)
	st := storeOver(t, fsys, false)
	al, bo := join(t, st, "al"), join(t, st, "bo")
	_, err := give(t, al, "bo", "one", "two")
	require.NoError(t, err)
	names, err := bo.shelf.fresh.Names()
	require.NoError(t, err)
	require.Len(t, names, 1)
	path := bo.box.Path()
	require.NoError(t, bo.Leave(t.Context(), protocol.Departure{Suspend: true}))
	require.NoError(t, os.WriteFile(filepath.Join(path, ledgerFile), appendLine(nil, "acked", names[0], 0, 1), 0o600))

	bo = join(t, st, "bo")
	broken := errors.New("broken")
	fsys.SetHook(diskfault.Nth(1, diskfault.Remove, broken))
	ds := make([]protocol.Delivery, 2)
	_, err = bo.Fetch(t.Context(), ds, false)
	require.ErrorIs(t, err, broken)
	fsys.SetHook(nil)
	require.Empty(t, take(t, bo))
	names, err = bo.shelf.fresh.Names()
	require.NoError(t, err)
	require.Empty(t, names)
}
