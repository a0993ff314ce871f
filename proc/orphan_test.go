//go:build unix

package proc_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/proc"
)

// However a parent ends, its children and their children end with it, also
// below a wrapper.
func TestKilledParent(t *testing.T) {
	each(t, func(t *testing.T, st *ipcmgr.Store) {
		ctx := testContext(t)
		alive := newPipeEnd(t)
		cmd := family.Cmd()
		alive.giveTo(cmd)
		parent, err := proc.Start(ctx, st, "parent", cmd)
		require.NoError(t, err)
		require.NoError(t, st.WaitPeer(ctx, "parent", "parent-child", "parent-wrapped"))
		require.NoError(t, syscall.Kill(parent.PID(), syscall.SIGKILL))
		require.ErrorContains(t, parent.Wait(ctx), "signal: killed")
		alive.wait(t)
		require.NoError(t, st.Wait(ctx))
		if st.Features().Suspends {
			for _, id := range []string{"parent-child", "parent-wrapped"} {
				peer, err := st.Peer(ctx, id)
				require.NoError(t, err)
				require.Equal(t, ipcmgr.Suspended, peer.State, "it left in order")
			}
		}
	})
}

const lonelyEnv = "PROC_TEST_LONELY"

// A test binary that is killed, or panics as it does at its timeout, leaves
// nobody behind, not even a child that hears nothing.
func TestKilledTestBinary(t *testing.T) {
	st := spawn(t, "fsqueue+json")
	ctx := testContext(t)
	self, err := os.Executable()
	require.NoError(t, err)
	for _, f := range []proc.Func{echo, deaf} {
		alive := newPipeEnd(t)
		cmd := exec.CommandContext(ctx, self, "-test.run=^TestLonely$")
		cmd.Env = append(os.Environ(), lonelyEnv+"="+f.Name(), ipcmgr.EnvStore+"="+st.Info().String())
		alive.giveTo(cmd)
		stdin, err := cmd.StdinPipe()
		require.NoError(t, err)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		require.NoError(t, cmd.Start())
		require.NoError(t, st.WaitPeer(ctx, f.Name()))
		if f == echo {
			require.NoError(t, stdin.Close())
		} else {
			require.NoError(t, cmd.Process.Kill())
		}
		require.Error(t, cmd.Wait())
		if f == echo {
			require.Contains(t, stderr.String(), "panic: time is over")
		}
		alive.wait(t)
	}
}

// TestLonely is a test that hangs, in the binary that TestKilledTestBinary
// and others run, until that says that its time is over.
func TestLonely(t *testing.T) {
	cmd := map[string]*exec.Cmd{
		"echo":    echo.Cmd(),
		"deaf":    deaf.Cmd(),
		foreign:   exec.Command("sh", "-c", "trap '' HUP INT TERM; sleep 1000 & wait; sleep 1000"),
		following: exec.Command("sh", "-c", `"$0"; sleep 1000`, os.Args[0]),
	}[os.Getenv(lonelyEnv)]
	if cmd == nil {
		return
	}
	if os.Getenv(lonelyEnv) == following {
		cmd.Env = append(os.Environ(), followerEnv+"=1")
	}
	st, err := ipcmgr.Open(t.Context(), "")
	require.NoError(t, err)
	_, err = proc.Launch(t.Context(), st, os.Getenv(lonelyEnv), cmd)
	require.NoError(t, err)
	fmt.Println("launched")
	go func() { // not the test's goroutine, as when the timeout has passed
		io.Copy(io.Discard, os.Stdin)
		panic("time is over")
	}()
	select {}
}

// The children of TestLonely that are no functions of this program.
const (
	foreign   = "foreign"   // knows nothing of its parent
	following = "following" // calls Follow, below a shell that does not end
)

// Also a program that knows nothing of its parent ends with it, and so does
// what it has started.
func TestForeignChildOfAKilledParent(t *testing.T) {
	st := spawn(t, "fsqueue+json")
	killLonely(t, st, foreign, func(stdout *bufio.Reader) {
		line, err := stdout.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "launched\n", line)
	})
}

// One that calls Follow leaves in order, and takes with it what stands around
// it.
func TestFollowerOfAKilledParent(t *testing.T) {
	for _, protocol := range keepers() {
		t.Run(protocol, func(t *testing.T) {
			st := spawn(t, protocol+"+json")
			killLonely(t, st, following, func(*bufio.Reader) {
				require.NoError(t, st.WaitPeer(testContext(t), following))
			})
			peer, err := st.Peer(testContext(t), following)
			require.NoError(t, err)
			require.Equal(t, ipcmgr.Suspended, peer.State)
		})
	}
}

// killLonely runs TestLonely with a child, kills it when that is there, and
// waits until nobody is.
func killLonely(t *testing.T, st *ipcmgr.Store, child string, there func(stdout *bufio.Reader)) {
	alive := newPipeEnd(t)
	cmd := exec.CommandContext(testContext(t), os.Args[0], "-test.run=^TestLonely$")
	cmd.Env = append(os.Environ(), lonelyEnv+"="+child, ipcmgr.EnvStore+"="+st.Info().String())
	alive.giveTo(cmd)
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	there(bufio.NewReader(stdout))
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	alive.wait(t)
}

// A process that a child started, and that knows nothing of all this, does not
// outlive it, however the child ends.
func TestGrandchildIsEnded(t *testing.T) {
	st := spawn(t, "fsqueue+json")
	ctx := testContext(t)
	me := connect(t, st, "me")
	for name, finish := range map[string]func(*proc.Child) error{
		"kill": func(c *proc.Child) error { return syscall.Kill(c.PID(), syscall.SIGKILL) },
		"term": func(c *proc.Child) error { return syscall.Kill(c.PID(), syscall.SIGTERM) },
		"stop": func(c *proc.Child) error {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			_ = c.Stop(ctx) // it does not end well
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			child, err := breeder.Start(ctx, st, "kid"+name)
			require.NoError(t, err)
			require.NoError(t, me.Send(ctx, child.ID(), "your child's pid?"))
			pid, err := ipcmgr.ReceiveAs[int](ctx, me)
			require.NoError(t, err)
			require.NoError(t, syscall.Kill(pid, 0))
			require.NoError(t, finish(child))
			<-child.Done()
			requireEnded(t, pid)
		})
	}
}

func TestOutlive(t *testing.T) {
	each(t, func(t *testing.T, st *ipcmgr.Store) {
		ctx := testContext(t)
		parent, err := survivors.Start(ctx, st, "parent")
		require.NoError(t, err)
		require.NoError(t, st.WaitPeer(ctx, "survivor"))
		require.NoError(t, syscall.Kill(parent.PID(), syscall.SIGKILL))
		require.Error(t, parent.Wait(ctx))
		me := connect(t, st, "me")
		require.NoError(t, me.Send(ctx, "survivor", "still there?"))
		answer, err := ipcmgr.ReceiveAs[string](ctx, me)
		require.NoError(t, err)
		require.Equal(t, "still there?", answer)
		peer, err := st.Peer(ctx, "survivor")
		require.NoError(t, err)
		require.NoError(t, me.Disconnect(ctx, nil))
		require.NoError(t, st.Terminate(ctx))
		require.NoError(t, st.Wait(ctx))
		requireEnded(t, peer.PID)
	})
}
