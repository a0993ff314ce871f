package fsqueue

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/internal/disk/diskfault"
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

// onRecord reads a ledger and leaves it as it is.
func onRecord(t *testing.T, dir string) map[string]record {
	data, err := os.ReadFile(filepath.Join(dir, ledgerFile))
	require.NoError(t, err)
	return parseLedger(data)
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
	require.NoError(t, l.suspend(map[string][]int{one: {0}}, map[string]*record{one: nil, ten: nil}))
	l = ledgerIn(t, dir, always)
	require.Equal(t, &record{back: map[int]bool{0: true}}, l.find(one))
	require.Equal(t, &record{acked: map[int]bool{0: true, 2: true}}, l.find(ten))
	l = ledgerIn(t, dir, func(name string) bool { return name == one })
	require.Nil(t, l.find(ten))
}

// A holder that suspends without having read a file has changed nothing about
// it; of one that it has read it leaves what was known before.
func TestSuspendingKeepsWhatAnEarlierHolderHadInHand(t *testing.T) {
	dir := t.TempDir()
	unread := labelName(senderOf("al"), place{1, 1}, 1, 5, true)
	read := labelName(senderOf("al"), place{1, 2}, 10, 50, false)
	l := ledgerIn(t, dir, always)
	require.NoError(t, l.handed([]*letter{{label: label{name: unread}, taken: 1}, {label: label{name: read}, taken: 4}}))
	l = ledgerIn(t, dir, always)
	before := l.find(read)
	require.NoError(t, l.handed([]*letter{{label: label{name: read}, taken: 6}}))
	require.NoError(t, l.suspend(nil, map[string]*record{read: before}))
	l = ledgerIn(t, dir, always)
	require.Equal(t, &record{handed: 1}, l.find(unread))
	require.Equal(t, &record{handed: 4}, l.find(read))
}

func TestTornAndForgedLinesMeanNothing(t *testing.T) {
	ten := labelName(senderOf("al"), place{1, 2}, 10, 50, false)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, ledgerFile), []byte(
		"handed "+ten+" 3\nhanded "+ten+" 11\nhanded "+ten+" -1\nacked "+ten+" x 1 99999999999999999999\n"+
			"handed ../../etc/passwd 1\nstolen "+ten+" 1\n\n\x00\nacked "+ten+"\nhanded "+ten+" 5"), 0o600))
	l := ledgerIn(t, dir, always)
	require.Equal(t, &record{handed: 3}, l.find(ten))
	require.Len(t, l.records, 1)
}

// A number that is cut by a failing write is another number: the next line must
// not make a fact of it.
func TestAppendThatFailedMeansNothing(t *testing.T) {
	ten := labelName(senderOf("al"), place{1, 2}, 20, 50, false)
	dir := t.TempDir()
	fsys := diskfault.New(disk.Real, nil)
	box, err := fsys.OpenDir(dir)
	require.NoError(t, err)
	defer box.Close()
	l, _, err := openLedger(box, box, false, always)
	require.NoError(t, err)
	whole := len("acked " + ten + " 12")
	for cut := range whole + 1 {
		full := errors.New("no space left")
		fsys.SetHook(diskfault.Nth(1, diskfault.Write, &diskfault.ShortWrite{N: cut, Err: full}))
		require.ErrorIs(t, l.acked(ten, []int{12}), full)
		fsys.SetHook(nil)
		require.NoError(t, l.acked(ten, []int{5}))
		require.Equal(t, map[int]bool{5: true}, onRecord(t, dir)[ten].acked, cut)
	}
	l.close()
}

// What is appended after a rewrite whose sync failed goes to the new file.
func TestRewriteThatIsUnsyncedIsWhatCounts(t *testing.T) {
	name := labelName(senderOf("al"), place{1, 2}, 20, 50, false)
	dir := t.TempDir()
	fsys := diskfault.New(disk.Real, nil)
	box, err := fsys.OpenDir(dir)
	require.NoError(t, err)
	defer box.Close()
	l, _, err := openLedger(box, box, true, always)
	require.NoError(t, err)
	require.NoError(t, l.acked(name, []int{1}))
	broken := errors.New("broken")
	fsys.SetHook(diskfault.Nth(1, diskfault.SyncDir, broken))
	require.ErrorIs(t, l.suspend(nil, nil), broken)
	fsys.SetHook(nil)
	require.NoError(t, l.acked(name, []int{2}))
	require.Equal(t, map[int]bool{1: true, 2: true}, onRecord(t, dir)[name].acked)
	l.close()
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
