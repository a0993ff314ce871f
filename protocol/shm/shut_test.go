//go:build linux && !ipcmgr_fallback

package shm

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// A file that is named like a ring and has no memory costs its reader none. It is
// set aside and told, and all goes on.
func TestHoleAmongTheRings(t *testing.T) {
	st := spawnStore(t, settings)
	a, b := connect(t, st, "a", protocol.New), connect(t, st, "b", protocol.New)
	deliver(t, a, "b", letters(0, 1, 100))
	path := filepath.Join(b.box, ringsDir, ringName{epoch: 255, life: 1, number: 1, key: "c"}.String())
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, os.Truncate(path, pageSize+maxRoom))
	unread, err := st.Unread(within(t), "b")
	require.NoError(t, err)
	require.Equal(t, 1, unread)
	var before unix.Stat_t
	require.NoError(t, unix.Stat(path, &before))
	require.Zero(t, before.Blocks)

	c := connect(t, st, "c2", protocol.New)
	deliver(t, c, "b", letters(1, 1, 100)) // the rings are listed again
	got := map[string]bool{}
	for range 3 {
		d := one(t, b)
		text, _, _ := strings.Cut(string(d.Data), " ")
		got[text] = true
		ack(t, b, d)
	}
	require.Len(t, got, 3, "two messages, and what is none: %v", got)
	require.True(t, got["0"] && got["1"])
	require.NoFileExists(t, path)
	require.NoError(t, b.Seal(within(t)))
	require.NoError(t, b.Leave(within(t), protocol.Departure{}))
}

func init() {
	roles["starve"] = func(args []string) error { return starve(args[0]) }
}

// starve receives while it has no descriptor to open another ring with: ROUTE. It
// says what it gets.
func starve(route string) error {
	ctx, cancel := context.WithTimeout(context.Background(), stuck)
	defer cancel()
	st, err := Protocol{}.Open(ctx, route)
	if err != nil {
		return err
	}
	told := 0
	m, err := st.Connect(ctx, protocol.ConnectOptions{ID: "b", Notice: func(error) { told++ }})
	if err != nil {
		return err
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	ds := make([]protocol.Delivery, 1)
	for _, most := range []uint64{limit.Cur, 0, limit.Cur} {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: most, Max: limit.Max}); err != nil {
			return err
		}
		fmt.Println("ready")
		if _, err := m.Fetch(ctx, ds, true); err != nil {
			return err
		}
		text, _, _ := strings.Cut(string(ds[0].Data), " ")
		fmt.Println(text)
		if err := m.Ack(ctx, ds); err != nil {
			return err
		}
		for range 3 {
			if n, err := m.Fetch(ctx, ds, false); most == 0 && (n > 0 || err != nil || told != 1) {
				return fmt.Errorf("%d more messages, told %d times: %w", n, told, err)
			}
		}
	}
	return nil
}

// A ring that cannot be opened does not stop the others. It is told once, and
// opened when that is possible, though nobody rings any more.
func TestRingThatCannotBeOpened(t *testing.T) {
	st := spawnStore(t, settings)
	a, other := connect(t, st, "a", protocol.New), connect(t, st, "other", protocol.New)
	cmd := exec.Command(os.Args[0], st.Route())
	cmd.Env = append(os.Environ(), roleVar+"=starve")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	next := func(want string) {
		require.True(t, lines.Scan())
		require.Equal(t, want, lines.Text())
	}
	next("ready")
	deliver(t, a, "b", letters(0, 1, 10))
	next("0")
	next("ready")
	deliver(t, other, "b", letters(2, 1, 10))
	deliver(t, a, "b", letters(1, 1, 10))
	next("1")
	next("ready")
	next("2")
	require.NoError(t, cmd.Wait())
}
