package service_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/internal/trial"
	_ "github.com/ipcmgr/ipcmgr/protocol/all"
	_ "github.com/ipcmgr/ipcmgr/serializer/all"
	"github.com/ipcmgr/ipcmgr/service"
)

// The tests run over every protocol. What is about processes runs the test
// binary again, as one of the roles, over all but mem.

const roleEnv = "IPCMGR_SERVICE_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		if err := roles[role](context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, "role", role, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// limit bounds what would otherwise hang for ever.
const limit = 60 * time.Second

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

// kinds are the protocols of this machine, mem first.
var kinds = slices.DeleteFunc([]ipcmgr.Config{
	{Protocol: ipcmgr.Names{"mem"}, Serializer: "json"},
	{Protocol: ipcmgr.Names{"fsqueue"}, Serializer: "msgpack"},
	{Protocol: ipcmgr.Names{"unixsocket"}, Serializer: "json"},
	{Protocol: ipcmgr.Names{"bbolt"}, Serializer: "json"},
	{Protocol: ipcmgr.Names{"shm"}, Serializer: "msgpack"},
}, func(c ipcmgr.Config) bool { return len(trial.Viable(c.Protocol...)) == 0 })

// over runs f with a store of each kind.
func over(t *testing.T, kinds []ipcmgr.Config, f func(t *testing.T, st *ipcmgr.Store), change ...func(*ipcmgr.Config)) {
	for _, cfg := range kinds {
		for _, c := range change {
			c(&cfg)
		}
		t.Run(cfg.Protocol[0]+"+"+cfg.Serializer, func(t *testing.T) { f(t, spawn(t, cfg)) })
	}
}

func each(t *testing.T, f func(t *testing.T, st *ipcmgr.Store), change ...func(*ipcmgr.Config)) {
	over(t, kinds, f, change...)
}

// eachWire is each with both serializers: for what is about the form of messages.
func eachWire(t *testing.T, f func(t *testing.T, st *ipcmgr.Store), change ...func(*ipcmgr.Config)) {
	for _, ser := range []string{"json", "msgpack"} {
		each(t, f, append(change, func(cfg *ipcmgr.Config) { cfg.Serializer = ser })...)
	}
}

// eachProcess is each without mem, which reaches no other process.
func eachProcess(t *testing.T, f func(t *testing.T, st *ipcmgr.Store), change ...func(*ipcmgr.Config)) {
	over(t, kinds[1:], f, change...)
}

// eachDurable is eachProcess where a mailbox outlives a crash.
func eachDurable(t *testing.T, f func(t *testing.T, st *ipcmgr.Store)) {
	eachProcess(t, func(t *testing.T, st *ipcmgr.Store) {
		if st.Features().Redelivers {
			f(t, st)
		}
	})
}

// spawn makes a store whose clients have left at the end of the test, and of
// which no goroutine stays.
func spawn(t testing.TB, cfg ipcmgr.Config) *ipcmgr.Store {
	t.Helper()
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	routines := runtime.NumGoroutine()
	st, err := ipcmgr.Spawn(testContext(t), cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		for _, c := range st.Clients() {
			c.Disconnect(context.Background(), func(*ipcmgr.Message) error { return nil })
		}
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		st.Shutdown(ctx)
		for end := time.Now().Add(limit); runtime.NumGoroutine() > routines && time.Now().Before(end); {
			<-time.After(time.Millisecond)
		}
		if n := runtime.NumGoroutine(); n > routines {
			stacks := make([]byte, 1<<20)
			t.Errorf("%d goroutines, were %d\n%s", n, routines, stacks[:runtime.Stack(stacks, true)])
		}
	})
	return st
}

func connect(t testing.TB, st *ipcmgr.Store, id string, opts ...ipcmgr.ConnectOption) ipcmgr.Client {
	t.Helper()
	c, err := st.Connect(testContext(t), id, opts...)
	require.NoError(t, err)
	return c
}

// caller connects a client that calls, and closes it at the end.
func caller(t testing.TB, st *ipcmgr.Store, id string) *service.Caller {
	t.Helper()
	c := service.NewCaller(connect(t, st, id))
	t.Cleanup(c.Close)
	return c
}

// quiet keeps expected failures out of the test's output.
var quiet = service.Logger(slog.New(slog.NewTextHandler(io.Discard, nil)))

// run is a service in this process. Its wait ends it and returns what Serve did.
type run struct {
	*service.Service
	client ipcmgr.Client
	ended  chan error
}

// serve runs a service in this process until the end of the test.
func serve(t testing.TB, st *ipcmgr.Store, id string, setup func(*service.Service), opts ...service.Option) *run {
	t.Helper()
	c := connect(t, st, id)
	r := &run{service.New(c, append([]service.Option{quiet}, opts...)...), c, make(chan error, 1)}
	setup(r.Service)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.ended <- r.Serve(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return r
}

// wait waits until the service has ended.
func (r *run) wait(t testing.TB) error {
	t.Helper()
	select {
	case err := <-r.ended:
		return err
	case <-time.After(limit):
		t.Fatal("the service does not end")
		return nil
	}
}

// echo answers what it gets.
func echo(s *service.Service) {
	service.Handle(s, "echo", func(_ context.Context, v any) (any, error) { return v, nil })
}

// child is a role of the test binary in a process of its own.
type child struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

// start starts a role.
func start(t testing.TB, st *ipcmgr.Store, role string, env ...string) *child {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(exe)
	cmd.Env = append(append(os.Environ(), roleEnv+"="+role, ipcmgr.EnvStore+"="+st.Info().String()), env...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		in.Close()
		cmd.Process.Kill()
		cmd.Wait()
	})
	return &child{cmd, in, bufio.NewScanner(out)}
}

// line waits for the next line that the child prints.
func (c *child) line(t testing.TB) string {
	t.Helper()
	if !c.out.Scan() {
		t.Fatalf("the child ended: %v", c.out.Err())
	}
	return c.out.Text()
}
