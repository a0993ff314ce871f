package bbolt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/ipcmgr/ipcmgr/internal/trial"
	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func init() { roles["cramped"] = cramped }

// cramped delivers to itself where no file may grow any more: DIRECTORY SYNC.
func cramped(args []string) error {
	signal.Ignore(syscall.SIGXFSZ)
	ctx := context.Background()
	s, err := Protocol{}.Spawn(ctx, filepath.Join(args[0], "s"), protocol.Settings{MaxFrame: 1 << 24, Sync: args[1] == "true"})
	if err != nil {
		return err
	}
	defer s.Close()
	a, err := s.Connect(ctx, protocol.ConnectOptions{ID: "a"})
	if err != nil {
		return err
	}
	small, large := []protocol.Frame{{Data: []byte("small")}}, []protocol.Frame{{Data: make([]byte, 1<<20)}, {Data: make([]byte, 1<<20)}}
	if _, err := a.Deliver(ctx, "a", small, true); err != nil {
		return err
	}
	info, err := os.Stat(a.(*mailbox).own.box + "/" + messagesName)
	if err != nil {
		return err
	}
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &before); err != nil {
		return err
	}
	tight := before
	tight.Cur = uint64(info.Size()) + 1<<16
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &tight); err != nil {
		return err
	}
	n, failure := a.Deliver(ctx, "a", large, true)
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &before); err != nil {
		return err
	}
	if n != 0 || failure == nil || errors.Is(failure, protocol.ErrUnsure) || errors.Is(failure, errDamaged) {
		return fmt.Errorf("%d delivered, %w", n, failure)
	}
	if _, err := a.Deliver(ctx, "a", small, true); err != nil {
		return err
	}
	ds := make([]protocol.Delivery, 10)
	n, err = a.Fetch(ctx, ds, false)
	if n != 2 || err != nil {
		return fmt.Errorf("%d fetched, %w", n, err)
	}
	messages, bytes := a.(*mailbox).keeper.Pending()
	if messages != 2 || bytes != 2*len("small") {
		return fmt.Errorf("%d messages of %d bytes pending", messages, bytes)
	}
	fmt.Println("failed well:", failure)
	return nil
}

// Where there is no room for a batch, none of it arrives, and that is certain.
func TestFullDisk(t *testing.T) {
	for _, durable := range []bool{false, true} {
		t.Run(fmt.Sprintf("sync=%v", durable), func(t *testing.T) {
			c := start(t, "cramped", t.TempDir(), fmt.Sprint(durable))
			require.Contains(t, c.says(), "failed well")
			c.wait()
		})
	}
}

func init() { roles["fill"] = fill }

// fill lives on a small disk: DIRECTORY SYNC.
func fill(args []string) error {
	if err := trial.MountSmallDisk(args[0], 2<<20); err != nil {
		return err
	}
	ctx := context.Background()
	st, err := Protocol{}.Spawn(ctx, filepath.Join(args[0], "s"), protocol.Settings{MaxFrame: 1 << 20, Sync: args[1] == "true"})
	if err != nil {
		return err
	}
	if err := trial.Fill(ctx, st, args[0], os.Stdout); err != nil {
		return err
	}
	return st.Unspawn(ctx)
}

// A disk that is really full, of messages and of what strangers put there.
func TestSmallDisk(t *testing.T) {
	for _, durable := range []bool{false, true} {
		t.Run(fmt.Sprintf("sync=%v", durable), func(t *testing.T) {
			cmd := exec.Command(os.Args[0], t.TempDir(), fmt.Sprint(durable))
			cmd.Env = append(os.Environ(), roleVar+"=fill")
			trial.OnSmallDisk(cmd)
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, string(out))
			t.Logf("%s", out)
		})
	}
}
