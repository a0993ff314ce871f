package fsqueue

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/internal/disk"
)

func ledgerIn(t *testing.T, path string, exists func(string) bool) *ledger {
	box, err := disk.Real.OpenDir(path)
	require.NoError(t, err)
	draft, err := disk.Real.OpenDir(path)
	require.NoError(t, err)
	l, damage, err := openLedger(box, draft, false, exists)
	require.NoError(t, err)
	require.NoError(t, damage)
	t.Cleanup(func() { l.close(); box.Close(); draft.Close() })
	return l
}

func always(string) bool { return true }

func TestLedgerTellsALaterHolder(t *testing.T) {
	dir := t.TempDir()
	one := labelName(senderOf("al"), place{1, 1}, 1, 5, true)
	ten := labelName(senderOf("al"), place{1, 2}, 10, 50, false)
	l := ledgerIn(t, dir, always)
	require.NoError(t, l.handed([]*letter{{label: label{name: one}, taken: 1}, {label: label{name: ten}, taken: 4}}))
	require.NoError(t, l.acked(ten, []int{0, 2}))
	require.NoError(t, l.handed([]*letter{{label: label{name: ten}, taken: 6}}))
	for range 2 { // what a holder writes anew says the same
		l = ledgerIn(t, dir, always)
		require.Equal(t, &record{handed: 1}, l.find(one))
		require.Equal(t, &record{handed: 6, acked: map[int]bool{0: true, 2: true}}, l.find(ten))
	}
	require.NoError(t, l.suspend(map[string][]int{one: {0}}))
	l = ledgerIn(t, dir, always)
	require.Equal(t, &record{back: map[int]bool{0: true}}, l.find(one))
	require.Equal(t, &record{acked: map[int]bool{0: true, 2: true}}, l.find(ten))
	l = ledgerIn(t, dir, func(name string) bool { return name == one })
	require.Nil(t, l.find(ten))
}

func TestTornAndForgedLinesMeanNothing(t *testing.T) {
	ten := labelName(senderOf("al"), place{1, 2}, 10, 50, false)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, ledgerFile), []byte(
		"handed "+ten+" 3\nhanded "+ten+" 11\nhanded "+ten+" -1\nacked "+ten+" x 1 99999999999999999999\n"+
			"handed ../../etc/passwd 1\nstolen "+ten+" 1\n\n\x00\nacked "+ten+"\nhanded "+ten+" 5"), 0o600))
	l := ledgerIn(t, dir, always)
	require.Equal(t, &record{handed: 3, acked: map[int]bool{1: true}}, l.find(ten))
	require.Len(t, l.records, 1)
}

func TestLedgerStaysSlim(t *testing.T) {
	dir := t.TempDir()
	l := ledgerIn(t, dir, always)
	kept := labelName(senderOf("al"), place{1, 1}, 10, 50, false)
	require.NoError(t, l.acked(kept, []int{3}))
	for i := range uint64(5000) {
		name := labelName(senderOf("al"), place{1, i + 2}, 1, 5, true)
		require.NoError(t, l.handed([]*letter{{label: label{name: name}, taken: 1}}))
		l.forget(name)
	}
	info, err := os.Stat(filepath.Join(dir, ledgerFile))
	require.NoError(t, err)
	require.Less(t, info.Size(), int64(2*ledgerSlim))
	require.Equal(t, &record{acked: map[int]bool{3: true}}, ledgerIn(t, dir, always).find(kept))
}
