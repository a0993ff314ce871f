package process

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const childVariable = "IPCMGR_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		fmt.Println("ready")
		io.Copy(os.Stdout, os.Stdin) // ends with its parent, at the latest
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child is a process that echoes what it is told.
type child struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func start(t *testing.T) *child {
	t.Helper()
	c := &child{Cmd: exec.Command(os.Args[0])}
	c.Env = append(os.Environ(), childVariable+"=1")
	var err error
	c.in, err = c.StdinPipe()
	require.NoError(t, err)
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	c.out = bufio.NewReader(out)
	require.NoError(t, c.Start())
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
	line, err := c.out.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ready\n", line)
	return c
}

func (c *child) id(t *testing.T) ID {
	t.Helper()
	s, err := Start(c.Process.Pid)
	require.NoError(t, err)
	return ID{PID: c.Process.Pid, Start: s}
}

func (c *child) answers(t *testing.T) {
	t.Helper()
	_, err := io.WriteString(c.in, "there\n")
	require.NoError(t, err)
	line, err := c.out.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "there\n", line)
}

func ends(t *testing.T, e *Exit) {
	t.Helper()
	select {
	case <-e.Done():
	case <-time.After(time.Minute):
		t.Fatal("the end of the process was not told")
	}
}

// tellsStart says whether this system knows when a process started.
func tellsStart() bool { return Self().Start != 0 }

func TestSelf(t *testing.T) {
	require.Equal(t, os.Getpid(), Self().PID)
	require.True(t, Alive(Self()))
	require.True(t, StartedBefore(Self().PID, time.Now()))
	if runtime.GOOS == "linux" {
		require.True(t, tellsStart())
	}
}

func TestNobody(t *testing.T) {
	for _, pid := range []int{0, -1, 1 << 30} {
		require.False(t, Alive(ID{PID: pid}))
		_, err := Watch(ID{PID: pid})
		require.ErrorIs(t, err, os.ErrProcessDone)
		require.ErrorIs(t, Signal(ID{PID: pid}, syscall.SIGKILL), os.ErrProcessDone)
		require.False(t, StartedBefore(pid, time.Now()))
	}
}

var watches = map[string]func(ID) (*Exit, error){"watch": Watch, "timer": watchByTimer}

// A zombie has ended, although its parent has not asked for its status.
func TestZombieIsDead(t *testing.T) {
	for name, watch := range watches {
		t.Run(name, func(t *testing.T) {
			c := start(t)
			id := c.id(t)
			e, err := watch(id)
			require.NoError(t, err)
			defer e.Close()
			require.True(t, Alive(id))
			require.NoError(t, c.Process.Kill())
			ends(t, e)
			if tellsStart() {
				require.False(t, Alive(id))
				require.False(t, StartedBefore(id.PID, time.Now()))
				_, err = watch(id)
				require.ErrorIs(t, err, os.ErrProcessDone)
			}
			c.Wait()
			require.False(t, Alive(id))
		})
	}
}

// Who has waited for a child need not wait for the watch to tell.
func TestEnded(t *testing.T) {
	for name, watch := range watches {
		t.Run(name, func(t *testing.T) {
			for range 20 {
				c := start(t)
				e, err := watch(c.id(t))
				require.NoError(t, err)
				require.False(t, e.Ended())
				require.NoError(t, c.Process.Kill())
				c.Wait()
				require.True(t, e.Ended())
				ends(t, e)
				require.True(t, e.Ended())
				require.NoError(t, e.Close())
			}
		})
	}
}

// A record may name the pid of a process that has gone: who has it now is a
// stranger, and is neither watched nor signalled.
func TestStranger(t *testing.T) {
	if !tellsStart() {
		return
	}
	c := start(t)
	gone := c.id(t)
	gone.Start--
	require.False(t, Alive(gone))
	for _, watch := range watches {
		_, err := watch(gone)
		require.ErrorIs(t, err, os.ErrProcessDone)
	}
	require.ErrorIs(t, Signal(gone, syscall.SIGKILL), os.ErrProcessDone)
	c.answers(t)
}

func TestStartedBefore(t *testing.T) {
	c := start(t)
	require.True(t, StartedBefore(c.Process.Pid, time.Now()))
	require.True(t, StartedBefore(c.Process.Pid, time.Now().Add(time.Hour)))
	if tellsStart() {
		require.False(t, StartedBefore(c.Process.Pid, time.Now().Add(-time.Hour)))
	}
}

func TestSignal(t *testing.T) {
	c := start(t)
	id := c.id(t)
	e, err := Watch(id)
	require.NoError(t, err)
	defer e.Close()
	require.NoError(t, Signal(id, syscall.SIGTERM))
	ends(t, e)
	c.Wait()
	require.ErrorIs(t, Signal(id, syscall.SIGTERM), os.ErrProcessDone)
}

// Close ends the watch, not the process, and leaves no goroutine.
func TestClose(t *testing.T) {
	c := start(t)
	before := runtime.NumGoroutine()
	for _, watch := range watches {
		var all []*Exit
		for range 20 {
			e, err := watch(c.id(t))
			require.NoError(t, err)
			all = append(all, e)
		}
		for _, e := range all {
			require.NoError(t, e.Close())
			require.NoError(t, e.Close())
			select {
			case <-e.Done():
				t.Fatal("closed as if the process had ended")
			default:
			}
		}
	}
	// Close waits for the goroutine's last act, not for the scheduler to see it off.
	for deadline := time.Now().Add(time.Minute); runtime.NumGoroutine() > before; runtime.Gosched() {
		require.True(t, time.Now().Before(deadline), "a goroutine is left")
	}
	c.answers(t)
}

func TestIsBelow(t *testing.T) {
	c := start(t)
	require.True(t, IsBelow(c.Process.Pid, c.Process.Pid))
	require.False(t, IsBelow(os.Getpid(), c.Process.Pid))
	if _, err := parent(os.Getpid()); err == nil {
		require.True(t, IsBelow(c.Process.Pid, os.Getpid()))
		require.True(t, os.Getppid() == 0 || IsBelow(c.Process.Pid, os.Getppid())) // 0: it is outside of this container
	}
}
