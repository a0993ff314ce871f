//go:build unix

package fsqueue_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// notices collects what a mailbox tells.
type notices struct {
	mu  sync.Mutex
	all []string
}

func (n *notices) take(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, err.Error())
}

func (n *notices) count(part string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(slices.DeleteFunc(slices.Clone(n.all), func(s string) bool { return !strings.Contains(s, part) }))
}

func TestRubbishIsSetAsideOnce(t *testing.T) {
	st := spawn(t, settings())
	al := connect(t, st, "al", protocol.New)
	var told notices
	bo, err := st.Connect(t.Context(), protocol.ConnectOptions{ID: "bo", Notice: told.take})
	require.NoError(t, err)
	inNew, door := filepath.Join(box(st, "bo"), "new"), filepath.Join(st.Route(), "bo")
	const sender = "0123456789abcdef-00000000000001-"
	put := func(path, content string) {
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	}
	secret := filepath.Join(t.TempDir(), "secret")
	put(secret, "secret")
	// Names that say nothing, or a size beyond all limits.
	put(filepath.Join(inNew, "rubbish"), "x")
	put(filepath.Join(inNew, sender+"000000000001-000001-ffffffff.message"), "x")
	// Files that are not what their names say.
	put(filepath.Join(inNew, sender+"000000000002-000001-00000005.message"), "longer than that")
	put(filepath.Join(inNew, sender+"000000000003-000001-00000005.message"), "cut")
	put(filepath.Join(inNew, sender+"000000000004-000001-00000000.message"), "x")
	put(filepath.Join(inNew, sender+"000000000005-000002-00000002.frames"), "\xff\xff\xff\xffabcdef")
	put(filepath.Join(inNew, sender+"000000000006-000002-00000004.frames"), "\x00\x00\x00\x02ok\x00\x00\x00\x09no")
	require.NoError(t, os.Symlink(secret, filepath.Join(inNew, sender+"000000000007-000001-00000006.message")))
	require.NoError(t, syscall.Mkfifo(filepath.Join(inNew, sender+"000000000008-000001-00000006.message"), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(inNew, sender+"000000000009-000001-00000006.message"), 0o700))
	put(filepath.Join(inNew, sender+"00000000000a-000001-00000004.message"), "good")
	// The same at the door.
	put(filepath.Join(door, "rubbish"), "x")
	put(filepath.Join(door, "large.ready"), strings.Repeat("x", 1<<20+1))
	put(filepath.Join(door, "underway.pend"), "x")
	put(filepath.Join(door, "not-json.ready"), "not JSON")
	require.NoError(t, os.Symlink(secret, filepath.Join(door, "link.ready")))
	require.NoError(t, syscall.Mkfifo(filepath.Join(door, "fifo.ready"), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(door, "dir.ready"), 0o700))

	send(t, al, "bo", "after all that")
	ds := ready(t, bo)
	require.ElementsMatch(t, []string{"ok", "good", "after all that", "not JSON"}, texts(ds))
	require.Equal(t, 10+5, told.count("set aside"), told.all)
	require.NoError(t, bo.Ack(t.Context(), ds))
	require.Empty(t, ready(t, bo))
	// Of other things there is only one to tell: that there is no watch to be had.
	require.Equal(t, 15, told.count("")-told.count("not watched"), told.all)

	kept, err := os.ReadDir(filepath.Join(st.Route(), ".ipcmgr", "corrupt", "bo"))
	require.NoError(t, err)
	require.Len(t, kept, 2*15)
	left, err := os.ReadDir(door)
	require.NoError(t, err)
	require.Len(t, left, 1, "what Perl has not given its name yet is left alone")
	content, err := os.ReadFile(secret)
	require.NoError(t, err)
	require.Equal(t, "secret", string(content))
}
