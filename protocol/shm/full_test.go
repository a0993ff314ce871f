//go:build linux && !ipcmgr_fallback

package shm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ipcmgr/ipcmgr/internal/trial"
	"github.com/ipcmgr/ipcmgr/protocol"
)

func init() {
	roles["fill"] = func(args []string) error { return fill(args[0]) }
	roles["part"] = func(args []string) error { return part(args[0], args[1] == "read") }
}

// small has no limits but that of the file system.
var small = protocol.Settings{MaxFrame: 1 << 20, MaxPending: 1 << 20, MaxBytes: 1 << 30}

// fill lives where there is little memory.
func fill(dir string) error {
	if err := trial.MountSmallDisk(dir, 2<<20); err != nil {
		return err
	}
	ctx := context.Background()
	st, err := Protocol{}.Spawn(ctx, filepath.Join(dir, "route"), small)
	if err != nil {
		return err
	}
	if err := trial.Fill(ctx, st, dir, os.Stdout); err != nil {
		return err
	}
	return st.Unspawn(ctx)
}

// part fills a small file system, and has all leave: DIR read|unread.
func part(dir string, read bool) error {
	if err := trial.MountSmallDisk(dir, 2<<20); err != nil {
		return err
	}
	ctx := context.Background()
	st, err := Protocol{}.Spawn(ctx, filepath.Join(dir, "route"), small)
	if err != nil {
		return err
	}
	a, err := st.Connect(ctx, protocol.ConnectOptions{ID: "a"})
	if err != nil {
		return err
	}
	b, err := st.Connect(ctx, protocol.ConnectOptions{ID: "b"})
	if err != nil {
		return err
	}
	sent := 0
	for err == nil {
		var n int
		n, err = a.Deliver(ctx, "b", letters(sent, 1, 2000), false)
		sent += n
	}
	if want := "the file system of " + st.Route() + " is full"; !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), want) {
		return err
	}
	if read {
		if err := takeAll(ctx, b, sent, true); err != nil {
			return err
		}
		// At once, though what was read may still be looked at.
		if _, err := st.Connect(ctx, protocol.ConnectOptions{ID: "c"}); err != nil {
			return err
		}
	}
	if err := use(filepath.Join(dir, "ballast")); !errors.Is(err, unix.ENOSPC) {
		return err
	}
	if err := a.Leave(ctx, protocol.Departure{}); err != nil {
		return err
	}
	if err := b.Seal(ctx); err != nil {
		return err
	}
	if !read {
		if err := takeAll(ctx, b, sent, false); err != nil {
			return err
		}
	}
	if err := b.Leave(ctx, protocol.Departure{}); err != nil {
		return err
	}
	return st.Unspawn(ctx)
}

// takeAll fetches n messages.
func takeAll(ctx context.Context, m protocol.Mailbox, n int, ack bool) error {
	ds := make([]protocol.Delivery, 100)
	for n > 0 {
		got, err := m.Fetch(ctx, ds, false)
		if err != nil || got == 0 {
			return fmt.Errorf("%d messages are missing: %w", n, err)
		}
		if n -= got; ack {
			if err := m.Ack(ctx, ds[:got]); err != nil {
				return err
			}
		}
	}
	return nil
}

// use takes all the room that there is.
func use(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, pageSize))
	}
	return err
}

// A file system that is full is an error, and never a fault.
func TestFullMemory(t *testing.T) {
	cmd := exec.Command(os.Args[0], trial.Place(t, Name))
	cmd.Env = append(os.Environ(), roleVar+"=fill")
	trial.OnSmallDisk(cmd)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	t.Logf("%s", out)
}

// To leave for good takes no room, and what was acknowledged takes none, whether
// the messages that fill the file system were read or not.
func TestGoodbyeWithoutRoom(t *testing.T) {
	for _, state := range []string{"read", "unread"} {
		cmd := exec.Command(os.Args[0], trial.Place(t, Name), state)
		cmd.Env = append(os.Environ(), roleVar+"=part")
		trial.OnSmallDisk(cmd)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s: %s", state, out)
	}
}
