package fsqueue

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/internal/disk/diskfault"
	"github.com/ipcmgr/ipcmgr/protocol"
)

func storeOver(t *testing.T, fsys disk.FS, sync bool) *store {
	t.Helper()
	s := protocol.Settings{Serializer: "json", MaxFrame: 1 << 20, MaxPending: 1000, MaxBytes: 1 << 24, Sync: sync}
	st, err := newStore(kind(fsys).Spawn(t.Context(), filepath.Join(t.TempDir(), "route"), s))
	require.NoError(t, err)
	t.Cleanup(func() { st.Close() })
	return st.(*store)
}

func join(t *testing.T, st *store, id string) *mailbox {
	t.Helper()
	m, err := st.Connect(t.Context(), protocol.ConnectOptions{ID: id, Mode: protocol.Resume, Notice: func(err error) { t.Log("notice:", err) }})
	require.NoError(t, err)
	return m.(*mailbox)
}

func give(t *testing.T, m *mailbox, to string, texts ...string) (int, error) {
	fs := make([]protocol.Frame, len(texts))
	for i, text := range texts {
		fs[i].Data = []byte(text)
	}
	return m.Deliver(t.Context(), to, fs, false)
}

func take(t *testing.T, m *mailbox) []string {
	t.Helper()
	got := []string{}
	ds := make([]protocol.Delivery, 10)
	for {
		n, err := m.Fetch(t.Context(), ds, false)
		require.NoError(t, err)
		if n == 0 {
			return got
		}
		for _, d := range ds[:n] {
			got = append(got, string(d.Data))
		}
		require.NoError(t, m.Ack(t.Context(), ds[:n]))
	}
}

func TestSyncPutsTheFileOnDiskBeforeItsName(t *testing.T) {
	fsys := diskfault.New(disk.Real, nil)
	st := storeOver(t, fsys, true)
	al, bo := join(t, st, "al"), join(t, st, "bo")
	fresh := bo.shelf.fresh.Path()
	_, err := give(t, al, "bo", "first") // opens the way
	require.NoError(t, err)
	for _, batch := range [][]string{{"one"}, {"two", "three"}} {
		fsys.Forget()
		_, err = give(t, al, "bo", batch...)
		require.NoError(t, err)
		var ops []string
		for _, c := range fsys.Calls() {
			ops = append(ops, c.Op)
			switch c.Op {
			case diskfault.Rename:
				require.Equal(t, fresh, filepath.Dir(c.To))
			case diskfault.SyncDir:
				require.Equal(t, fresh, filepath.Clean(c.Path))
			}
		}
		require.Equal(t, []string{
			diskfault.Create, diskfault.Write, diskfault.Sync, diskfault.Close, diskfault.Rename, diskfault.SyncDir,
		}, ops)
	}
	fsys.Forget()
	require.Equal(t, []string{"first", "one", "two", "three"}, take(t, bo))
	ops := []string{}
	for _, c := range fsys.Calls() {
		ops = append(ops, c.Op)
	}
	require.Less(t, slices.Index(ops, diskfault.Remove), slices.Index(ops, diskfault.SyncDir), "an acknowledgement is on disk, too")
}

func TestFailureBeforeTheRenameLeavesNothing(t *testing.T) {
	broken := errors.New("broken")
	fsys := diskfault.New(disk.Real, nil)
	st := storeOver(t, fsys, true)
	al, bo := join(t, st, "al"), join(t, st, "bo")
	_, err := give(t, al, "bo", "first")
	require.NoError(t, err)
	want := []string{"first"}
	for _, op := range []string{diskfault.Create, diskfault.Write, diskfault.Sync, diskfault.Close, diskfault.Rename} {
		fsys.SetHook(diskfault.Nth(1, op, broken))
		n, err := give(t, al, "bo", "lost")
		require.Zero(t, n, op)
		require.ErrorIs(t, err, broken, op)
		require.NotErrorIs(t, err, protocol.ErrUnsure, op)
		fsys.SetHook(nil)
		drafts, err := al.draft.Names()
		require.NoError(t, err)
		require.Empty(t, drafts, op)
		_, err = give(t, al, "bo", "after "+op)
		require.NoError(t, err)
		want = append(want, "after "+op)
	}
	found, err := bo.shelf.list(nil)
	require.NoError(t, err)
	numbers := map[uint64]bool{}
	for _, l := range found {
		numbers[l.place.number] = true
	}
	for i := range want {
		require.True(t, numbers[uint64(i+1)], "the number of a file that failed is given again")
	}
	require.Equal(t, want, take(t, bo))
}

func TestFailedSyncOfTheDirectoryIsUnsureAndNotRepeated(t *testing.T) {
	broken := errors.New("broken")
	fsys := diskfault.New(disk.Real, nil)
	st := storeOver(t, fsys, true)
	al, bo := join(t, st, "al"), join(t, st, "bo")
	_, err := give(t, al, "bo", "first")
	require.NoError(t, err)
	fsys.Forget()
	fsys.SetHook(diskfault.Nth(1, diskfault.SyncDir, broken))
	n, err := give(t, al, "bo", "unsure")
	require.Zero(t, n)
	require.ErrorIs(t, err, protocol.ErrUnsure)
	require.ErrorIs(t, err, broken)
	syncs := 0
	for _, c := range fsys.Calls() {
		if c.Op == diskfault.SyncDir {
			syncs++
		}
	}
	require.Equal(t, 1, syncs)
	_, err = give(t, al, "bo", "last")
	require.NoError(t, err)
	require.Equal(t, []string{"first", "unsure", "last"}, take(t, bo))
}

func TestAckThatFailedCanBeRepeated(t *testing.T) {
	broken := errors.New("broken")
	fsys := diskfault.New(disk.Real, nil)
	st := storeOver(t, fsys, false)
	al, bo := join(t, st, "al"), join(t, st, "bo")
	_, err := give(t, al, "bo", "one")
	require.NoError(t, err)
	_, err = give(t, al, "bo", "two", "three")
	require.NoError(t, err)
	ds := make([]protocol.Delivery, 10)
	n, err := bo.Fetch(t.Context(), ds, false)
	require.NoError(t, err)
	require.Equal(t, 3, n)
	for i, op := range []string{diskfault.Remove, diskfault.Write} {
		fsys.SetHook(diskfault.Nth(1, op, broken))
		require.ErrorIs(t, bo.Ack(t.Context(), ds[i:i+1]), broken, op)
		fsys.SetHook(nil)
	}
	require.NoError(t, bo.Ack(t.Context(), ds[:n]))
	require.NoError(t, bo.Ack(t.Context(), ds[:n]), "what is acknowledged already may be so again")
	unread, err := st.Unread(t.Context(), "bo")
	require.NoError(t, err)
	require.Zero(t, unread)
	msgs, bytes := bo.gate.Pending()
	require.Zero(t, msgs+bytes)
}

// What a Perl peer was given is on disk, also where the rest of the batch was
// not given.
func TestPartOfABatchForPerlIsSynced(t *testing.T) {
	broken := errors.New("broken")
	fsys := diskfault.New(disk.Real, nil)
	st := storeOver(t, fsys, true)
	al := join(t, st, "al")
	theirs := filepath.Join(st.Route(), "pl")
	require.NoError(t, os.Mkdir(theirs, 0o700))
	require.NoError(t, os.WriteFile(theirs+".pid", []byte(strconv.Itoa(os.Getpid())), 0o600))
	fsys.SetHook(diskfault.Nth(2, diskfault.Rename, broken))
	fsys.Forget()
	n, err := give(t, al, "pl", "one", "two")
	require.ErrorIs(t, err, broken)
	require.Equal(t, 1, n)
	last := fsys.Calls()[len(fsys.Calls())-2:]
	require.Equal(t, diskfault.Call{Op: diskfault.SyncDir, Path: theirs}, last[0])
	require.Equal(t, diskfault.CloseDir, last[1].Op)
}

// A full disk must not keep the mailbox from being emptied.
func TestLedgerThatFailsKeepsNobodyFromReading(t *testing.T) {
	fsys := diskfault.New(disk.Real, nil)
	st := storeOver(t, fsys, false)
	al, bo := join(t, st, "al"), join(t, st, "bo")
	told := 0
	bo.shelf.notice = func(error) { told++ }
	_, err := give(t, al, "bo", "one")
	require.NoError(t, err)
	full := errors.New("no space left")
	fsys.SetHook(func(op, path string) error {
		if strings.HasSuffix(path, ledgerFile) && (op == diskfault.Append || op == diskfault.Write) {
			return full
		}
		return nil
	})
	require.Equal(t, []string{"one"}, take(t, bo))
	require.Equal(t, 1, told)
}

// A sender that is killed between the rename and the ring leaves a message that
// nobody tells of.
func TestSleepingReaderFindsWhatNobodyRang(t *testing.T) {
	st := storeOver(t, disk.Real, false)
	bo := join(t, st, "bo")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i := range uint64(3) {
		got := make(chan error, 1)
		go func() {
			ds := make([]protocol.Delivery, 1)
			n, err := bo.Fetch(ctx, ds, true)
			if err == nil {
				err = bo.Ack(ctx, ds[:n])
			}
			got <- err
		}()
		temp, err := bo.writeFile([]byte("hello"))
		require.NoError(t, err)
		require.NoError(t, bo.draft.Rename(temp, bo.shelf.fresh, labelName(senderOf("al"), place{1, i + 1}, 1, 5, true)))
		require.NoError(t, <-got)
	}
}

// forgetful hides from the next listing of new the first file in it.
type forgetful struct {
	disk.FS
	mu   sync.Mutex
	hide bool
	hid  int
}

type forgetfulDir struct {
	disk.Dir
	fs *forgetful
}

func (f *forgetful) OpenDir(path string) (disk.Dir, error) {
	d, err := f.FS.OpenDir(path)
	if err != nil {
		return nil, err
	}
	return &forgetfulDir{d, f}, nil
}

func (d *forgetfulDir) Sub(name string) (disk.Dir, error) {
	sub, err := d.Dir.Sub(name)
	if err != nil {
		return nil, err
	}
	return &forgetfulDir{sub, d.fs}, nil
}

func (d *forgetfulDir) Rename(name string, to disk.Dir, newname string) error {
	return d.Dir.Rename(name, to.(*forgetfulDir).Dir, newname)
}

func (d *forgetfulDir) Names() ([]string, error) {
	names, err := d.Dir.Names()
	d.fs.mu.Lock()
	defer d.fs.mu.Unlock()
	if filepath.Base(d.Path()) == newDir && d.fs.hide && len(names) > 1 {
		slices.Sort(names)
		names = names[1:]
		d.fs.hide = false
		d.fs.hid++
	}
	return names, err
}

func TestListingThatMissesAFileDoesNotChangeTheOrder(t *testing.T) {
	fsys := &forgetful{FS: disk.Real}
	st := storeOver(t, fsys, false)
	al, bo := join(t, st, "al"), join(t, st, "bo")
	for range 3 {
		for _, text := range []string{"1", "2", "3"} {
			_, err := give(t, al, "bo", text)
			require.NoError(t, err)
		}
		fsys.mu.Lock()
		fsys.hide = true
		fsys.mu.Unlock()
		require.Equal(t, []string{"1", "2", "3"}, take(t, bo))
	}
	require.Equal(t, 3, fsys.hid)
}

// Who counts what is unread while the client says goodbye finds it in one place
// or the other, and no error.
func TestUnreadDuringAGoodbye(t *testing.T) {
	fsys := diskfault.New(disk.Real, nil)
	st := storeOver(t, fsys, false)
	al, bo := join(t, st, "al"), join(t, st, "bo")
	_, err := give(t, al, "bo", "one", "two")
	require.NoError(t, err)
	fresh := bo.shelf.fresh.Path()
	fsys.SetHook(func(op, path string) error {
		if op == diskfault.Names && path == fresh {
			fsys.SetHook(nil)
			require.NoError(t, bo.Seal(t.Context())) // removes the directory that was opened
		}
		return nil
	})
	n, err := st.Unread(t.Context(), "bo")
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.Equal(t, []string{"one", "two"}, takeSealed(t, bo))
}

// takeSealed takes all that is in a mailbox that says goodbye.
func takeSealed(t *testing.T, m *mailbox) []string {
	t.Helper()
	var got []string
	ds := make([]protocol.Delivery, 10)
	for {
		n, err := m.Fetch(t.Context(), ds, true)
		if errors.Is(err, io.EOF) {
			return got
		}
		require.NoError(t, err)
		for _, d := range ds[:n] {
			got = append(got, string(d.Data))
		}
		require.NoError(t, m.Ack(t.Context(), ds[:n]))
	}
}

// What is wrong is said once, though the way back meets it, too.
func TestConnectSaysOnceWhatIsWrong(t *testing.T) {
	st := storeOver(t, disk.Real, false)
	box := st.Path("box")
	require.NoError(t, os.Remove(box))
	require.NoError(t, os.WriteFile(box, nil, 0o600))
	_, err := st.Connect(t.Context(), protocol.ConnectOptions{ID: "al"})
	require.Equal(t, 1, strings.Count(err.Error(), "not a directory"), err)
}
