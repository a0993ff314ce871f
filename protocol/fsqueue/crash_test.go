package fsqueue_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/ipcmgr/ipcmgr/protocol/fsqueue"
)

func init() {
	// hold ROUTE ID N I…: fetches N messages, acknowledges those, and waits.
	acts["hold"] = func(ctx context.Context, args []string, in *bufio.Reader, out io.Writer) error {
		st, err := fsqueue.Protocol{}.Open(ctx, args[0])
		if err != nil {
			return err
		}
		m, err := st.Connect(ctx, protocol.ConnectOptions{ID: args[1], Mode: protocol.Resume})
		if err != nil {
			return err
		}
		var n int
		fmt.Sscan(args[2], &n)
		ds := make([]protocol.Delivery, n)
		for got := 0; got < n; {
			m, err := m.Fetch(ctx, ds[got:], true)
			if err != nil {
				return err
			}
			got += m
		}
		for _, arg := range args[3:] {
			var i int
			fmt.Sscan(arg, &i)
			if err := m.Ack(ctx, ds[i:i+1]); err != nil {
				return err
			}
		}
		fmt.Fprintln(out, strings.Join(texts(ds), " "))
		_, err = in.ReadString('\n')
		return err
	}
}

func TestPartOfABatchOutlivesItsHolder(t *testing.T) {
	st := spawn(t, settings())
	al := connect(t, st, "al", protocol.New)
	bo := connect(t, st, "bo", protocol.New)
	require.NoError(t, bo.Leave(t.Context(), protocol.Departure{Suspend: true}))
	send(t, al, "bo", "a", "b", "c", "d", "e", "f")
	send(t, al, "bo", "g")
	send(t, al, "bo", "h")

	p := start(t, "hold", st.Route(), "bo", "4", "1", "3")
	require.Equal(t, "a b c d", p.hear())
	p.kill()
	n, err := st.Unread(t.Context(), "bo")
	require.NoError(t, err)
	require.Equal(t, 6, n)

	p = start(t, "hold", st.Route(), "bo", "3", "0")
	require.Equal(t, "a! c! e", p.hear())
	p.kill()

	bo = connect(t, st, "bo", protocol.Reconnect)
	require.Equal(t, protocol.Crashed, bo.Found())
	send(t, al, "bo", "i")
	ds := ready(t, bo)
	require.Equal(t, []string{"c!", "e!", "f", "g", "h", "i"}, texts(ds))
	require.NoError(t, bo.Ack(t.Context(), ds[:1]))
	require.NoError(t, bo.Leave(t.Context(), protocol.Departure{Suspend: true, Back: []protocol.Delivery{ds[2]}}))

	bo = connect(t, st, "bo", protocol.Reconnect)
	require.Equal(t, []string{"e!", "f!", "g", "h", "i"}, texts(ready(t, bo)))
}

// box is a mailbox's directory.
func box(st protocol.Store, id string) string { return filepath.Join(st.Route(), ".ipcmgr", "box", id) }

func TestCrashLeavesNothingInTheWay(t *testing.T) {
	st := spawn(t, settings())
	al := connect(t, st, "al", protocol.New)

	// A Connect that was killed before its record was written.
	require.NoError(t, os.MkdirAll(filepath.Join(box(st, "bo"), "draft"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(box(st, "bo"), "gate"), []byte("half"), 0o600))
	bo := connect(t, st, "bo", protocol.New)
	send(t, al, "bo", "one")
	send(t, al, "bo", "two")
	require.NoError(t, bo.Leave(t.Context(), protocol.Departure{Suspend: true}))

	// A goodbye that was killed when it had moved one file, removed the door,
	// and nothing more; drafts, and a ledger that was cut.
	names, err := os.ReadDir(filepath.Join(box(st, "bo"), "new"))
	require.NoError(t, err)
	require.NoError(t, os.Rename(filepath.Join(box(st, "bo"), "new", names[0].Name()), filepath.Join(box(st, "bo"), "out", names[0].Name())))
	require.NoError(t, os.Rename(filepath.Join(st.Route(), "bo"), filepath.Join(st.Route(), "_bo")))
	require.NoError(t, os.WriteFile(filepath.Join(st.Route(), "_bo", "x.pend"), nil, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(st.Route(), "_bo", "y.ready"), []byte(`{"stamp":1}`), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(box(st, "bo"), "draft", "1"), []byte("half"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(box(st, "bo"), "ledger"), []byte("handed "+names[0].Name()+" 1\nhanded "), 0o600))
	require.NoError(t, os.Remove(filepath.Join(box(st, "bo"), "gate")))

	bo = connect(t, st, "bo", protocol.Reconnect)
	ds := ready(t, bo)
	require.ElementsMatch(t, []string{"one!", "two", `{"stamp":1}`}, texts(ds))
	require.NoFileExists(t, filepath.Join(st.Route(), "_bo"))
	send(t, al, "bo", "three")
	require.NoError(t, bo.Ack(t.Context(), ds))
	require.Equal(t, []string{"three"}, texts(ready(t, bo)))

	require.NoError(t, bo.Seal(t.Context()))
	require.NoError(t, bo.Leave(t.Context(), protocol.Departure{}))
	require.NoDirExists(t, box(st, "bo"))
	require.NoDirExists(t, filepath.Join(st.Route(), "bo"))
}

func TestRejectedIsFoundWithItsReason(t *testing.T) {
	st := spawn(t, settings())
	bo := connect(t, st, "bo", protocol.New)
	send(t, bo, "bo", "poison", "cure")
	ds := ready(t, bo)
	require.NoError(t, bo.Reject(t.Context(), ds[0], errors.New("it bites")))
	found, err := filepath.Glob(filepath.Join(st.Route(), ".ipcmgr", "corrupt", "bo", "*"))
	require.NoError(t, err)
	require.Len(t, found, 2)
	data, err := os.ReadFile(found[0])
	require.NoError(t, err)
	require.Equal(t, "poison", string(data))
	reason, err := os.ReadFile(found[1])
	require.NoError(t, err)
	require.Equal(t, "it bites\n", string(reason))
	n, err := st.Unread(t.Context(), "bo")
	require.NoError(t, err)
	require.Equal(t, 1, n)
}
