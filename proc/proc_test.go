//go:build unix

package proc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/internal/process"
	"github.com/ipcmgr/ipcmgr/internal/trial"
	"github.com/ipcmgr/ipcmgr/proc"
	_ "github.com/ipcmgr/ipcmgr/protocol/all"
	_ "github.com/ipcmgr/ipcmgr/serializer/all"
)

// limit bounds what would otherwise hang for ever.
const limit = time.Minute

func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0") // of the children: they end often
	// On a machine that stands still for seconds, too, a child leaves in order.
	// One that hears nothing uses up all the time that it has.
	switch proc.SetPatience(limit); os.Getenv(lonelyEnv) {
	case deaf.Name(), foreign:
		proc.SetPatience(time.Second)
	case following:
		proc.SetPatience(time.Hour) // it must not need it
	}
	switch {
	case os.Getenv(forgetfulEnv) != "":
		forget()
	case os.Getenv(followerEnv) != "":
		follow()
	}
	proc.Init()
	os.Exit(m.Run())
}

const (
	forgetfulEnv = "PROC_TEST_FORGETFUL"
	followerEnv  = "PROC_TEST_FOLLOWER"
)

// forget is a main function that starts a function without Init.
func forget() {
	os.Unsetenv(forgetfulEnv)
	fmt.Println(echo.Cmd().Run())
	os.Exit(0)
}

// follow is a main function that does without Main.
func follow() {
	ctx, finish, err := proc.Follow(context.Background())
	if err == nil {
		err = linger(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	finish()
	os.Exit(0)
}

// linger is a client until ctx ends.
func linger(ctx context.Context) error {
	st, err := ipcmgr.Open(ctx, os.Getenv(ipcmgr.EnvStore))
	if err != nil {
		return err
	}
	c, err := st.Connect(ctx, os.Getenv(proc.EnvClient), ipcmgr.Resume())
	if err != nil {
		return err
	}
	<-ctx.Done()
	switch cause := context.Cause(ctx); cause {
	case proc.ErrReplaced, proc.ErrOrphaned:
		return errors.Join(c.Suspend(context.WithoutCancel(ctx), time.Time{}), st.Close())
	default:
		return cause
	}
}

// follower gives a command that calls Follow.
func follower() *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), followerEnv+"=1")
	return cmd
}

// The functions that the tests run in other processes.
var (
	echo     = proc.Register("echo", doEcho)
	quick    = proc.Register("quick", func(context.Context, ipcmgr.Client) error { return nil })
	faulty   = proc.Register("faulty", doFaulty)
	stubborn = proc.Register("stubborn", doStubborn)
	deaf     = proc.Register("deaf", doDeaf)
	family   = proc.Register("family", doFamily)
	breeder  = proc.Register("breeder", doBreeder)
	nosy     = proc.Register("nosy", doNosy)
	chatty   = proc.Register("chatty", doChatty)

	survivors = proc.Register("survivors", doSurvivors)
)

func doEcho(ctx context.Context, c ipcmgr.Client) error {
	return ipcmgr.Handle(ctx, c, func(ctx context.Context, m *ipcmgr.Message, v any) error {
		return c.Send(ctx, m.From, v)
	})
}

// doFaulty has a message handed out while it fails in the way that it names,
// unless it has come before.
func doFaulty(ctx context.Context, c ipcmgr.Client) error {
	for {
		m, err := c.Receive(ctx)
		if errors.Is(err, ipcmgr.ErrTerminated) {
			return nil
		}
		if err != nil {
			return err
		}
		var how string
		if err := m.Decode(&how); err != nil {
			return err
		}
		if !m.Redelivered {
			switch how {
			case "error":
				return errors.New("failed as asked")
			case "panic":
				panic("as asked")
			case "goexit":
				runtime.Goexit()
			case "kill":
				return syscall.Kill(os.Getpid(), syscall.SIGKILL)
			}
		}
		if err := c.Send(ctx, m.From, how); err != nil {
			return err
		}
	}
}

// doStubborn hears of a signal only.
func doStubborn(ctx context.Context, c ipcmgr.Client) error {
	<-ctx.Done()
	return nil
}

// doDeaf hears of nothing.
func doDeaf(context.Context, ipcmgr.Client) error {
	signal.Ignore(syscall.SIGTERM)
	select {}
}

// doFamily is a parent, with a child of its own.
func doFamily(ctx context.Context, c ipcmgr.Client) error {
	if _, err := echo.Start(ctx, c.Store(), c.ID()+"-child"); err != nil {
		return err
	}
	child, err := proc.Start(ctx, c.Store(), c.ID()+"-wrapped", wrapped(echo))
	if err != nil {
		return err
	}
	return errors.Join(child.Wait(ctx), ctx.Err())
}

// doBreeder starts a process that knows nothing of a store, and tells its pid.
func doBreeder(ctx context.Context, c ipcmgr.Client) error {
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		return err
	}
	m, err := c.Receive(ctx)
	if err != nil {
		return err
	}
	if err := c.Send(ctx, m.From, cmd.Process.Pid); err != nil {
		return err
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

// doSurvivors is a parent whose child is to go on without it.
func doSurvivors(ctx context.Context, c ipcmgr.Client) error {
	if _, err := echo.Start(ctx, c.Store(), "survivor", proc.Outlive()); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// doNosy tells what a child of its own would find in the environment.
func doNosy(ctx context.Context, c ipcmgr.Client) error {
	out, err := exec.Command("sh", "-c", `env | grep -c '^IPCMGR_\(CLIENT\|PARENT\|FUNC\)='; test -p /proc/self/fd/3 && echo pipe; true`).Output()
	if err != nil {
		return err
	}
	return c.Send(ctx, "me", string(out))
}

func doChatty(ctx context.Context, c ipcmgr.Client) error {
	fmt.Println("one")
	fmt.Fprintln(os.Stderr, "two")
	fmt.Print("no newline")
	return nil
}

// wrapped gives a command that runs a function below a shell, which stays.
func wrapped(f proc.Func) *exec.Cmd { return wrap(f.Cmd()) }

func wrap(cmd *exec.Cmd) *exec.Cmd {
	shell := exec.Command("sh", append([]string{"-c", `"$0" "$@"; exit $?`}, cmd.Args...)...)
	shell.Env = cmd.Env
	return shell
}

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

// keepers are the protocols that keep the mailbox of who is away.
func keepers() []string { return trial.Viable("fsqueue", "bbolt", "shm") }

// each runs a test over the protocols that reach other processes. In the end
// nothing may be left: no process, no goroutine, no descriptor.
func each(t *testing.T, f func(t *testing.T, st *ipcmgr.Store)) {
	for _, kind := range []string{"fsqueue+json", "fsqueue+msgpack", "unixsocket+json", "unixsocket+msgpack", "bbolt+json", "bbolt+msgpack", "shm+json", "shm+msgpack"} {
		if name, _, _ := strings.Cut(kind, "+"); len(trial.Viable(name)) == 0 {
			continue
		}
		t.Run(kind, func(t *testing.T) { f(t, spawn(t, kind)) })
	}
}

func spawn(t testing.TB, kind string) *ipcmgr.Store {
	place, err := os.MkdirTemp("", "proc") // short, for unixsocket
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(place) })
	t.Setenv("XDG_RUNTIME_DIR", place)
	checkLeaks := watchLeaks(t)
	protocol, serializer, _ := strings.Cut(kind, "+")
	st, err := ipcmgr.Spawn(testContext(t), ipcmgr.Config{Protocol: ipcmgr.Names{protocol}, Serializer: serializer})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		if st.Owned() {
			st.DisconnectClients(ctx) // what was unread is the business of tests about it
			require.NoError(t, st.Unspawn(ctx))
			require.NoError(t, st.Close())
		}
		checkLeaks()
	})
	return st
}

func connect(t testing.TB, st *ipcmgr.Store, id string) ipcmgr.Client {
	c, err := st.Connect(testContext(t), id)
	require.NoError(t, err)
	return c
}

// watchLeaks returns a check that there are no more goroutines, descriptors
// and children than now.
func watchLeaks(t testing.TB) (check func()) {
	goroutines, descriptors := runtime.NumGoroutine(), countDescriptors()
	return func() {
		// What ends a goroutine comes shortly before its end.
		for deadline := time.Now().Add(limit); runtime.NumGoroutine() > goroutines || countDescriptors() > descriptors; runtime.Gosched() {
			if time.Now().After(deadline) {
				buf := make([]byte, 1<<20)
				t.Errorf("left: %d goroutines and %d descriptors, were %d and %d\n%s", runtime.NumGoroutine(), countDescriptors(),
					goroutines, descriptors, buf[:runtime.Stack(buf, true)])
				return
			}
		}
		require.Empty(t, children(t), "children, or zombies, are left")
	}
}

func countDescriptors() int {
	entries, _ := os.ReadDir("/proc/self/fd")
	return len(entries)
}

// children lists the pids of this process's children, zombies among them.
func children(t testing.TB) string {
	files, err := filepath.Glob("/proc/self/task/*/children")
	require.NoError(t, err)
	var all strings.Builder
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err == nil { // the thread may have ended
			all.Write(data)
		}
	}
	return all.String()
}

// requireEnded waits for the end of a process that is no child of this one.
func requireEnded(t testing.TB, pid int) {
	exit, err := process.Watch(process.ID{PID: pid})
	if errors.Is(err, os.ErrProcessDone) {
		return
	}
	require.NoError(t, err)
	defer exit.Close()
	select {
	case <-exit.Done():
	case <-time.After(limit):
		t.Fatal("the process is left")
	}
}

// pipeEnd is closed when all processes have ended that inherited its other
// end: the one sure way to see the end of those that are no children.
type pipeEnd struct{ r, w *os.File }

func newPipeEnd(t testing.TB) *pipeEnd {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { r.Close(); w.Close() })
	return &pipeEnd{r, w}
}

// giveTo lets cmd inherit the pipe, and all that it starts: its descriptor is
// none that their own pipes get.
func (p *pipeEnd) giveTo(cmd *exec.Cmd) {
	cmd.ExtraFiles = append(make([]*os.File, 7), p.w)
}

func (p *pipeEnd) wait(t testing.TB) {
	require.NoError(t, p.w.Close())
	require.NoError(t, p.r.SetReadDeadline(time.Now().Add(limit)))
	_, err := io.Copy(io.Discard, p.r)
	require.NoError(t, err, "a process is left")
}
