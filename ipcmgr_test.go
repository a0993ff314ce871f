package ipcmgr_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/protocol/mem"
	_ "github.com/ipcmgr/ipcmgr/serializer/all"
)

// The tests run over every protocol with every serializer. One that says what
// happens to a peer that is killed starts a process for it: this test binary
// again.

const roleEnv = "IPCMGR_TEST_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		if err := play(role); err != nil {
			fmt.Fprintln(os.Stderr, "role", role, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// limit bounds what would otherwise hang for ever.
const limit = 30 * time.Second

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

// each runs a test over every protocol with every serializer.
func each(t *testing.T, f func(t *testing.T, s *ipcmgr.Store)) {
	eachConfig(t, ipcmgr.Config{}, f)
}

func eachConfig(t *testing.T, cfg ipcmgr.Config, f func(t *testing.T, s *ipcmgr.Store)) {
	for _, p := range protocols {
		for _, ser := range []string{"json", "msgpack"} {
			t.Run(p+"+"+ser, func(t *testing.T) {
				cfg := cfg
				cfg.Protocol, cfg.Serializer = ipcmgr.Names{p}, ser
				f(t, spawn(t, cfg))
			})
		}
	}
}

// spawn makes a store that is shut down at the end, if the test did not, and
// leaves nothing behind: no file, no goroutine, no descriptor.
func spawn(t *testing.T, cfg ipcmgr.Config) *ipcmgr.Store {
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	check := watchLeaks(t)
	s, err := ipcmgr.Spawn(testContext(t), cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		if s.Owned() {
			for _, c := range s.Clients() {
				c.Disconnect(context.Background(), func(*ipcmgr.Message) error { return nil })
			}
			ctx, cancel := context.WithTimeout(context.Background(), limit)
			defer cancel()
			s.Shutdown(ctx) // its error is the business of the tests about it
		}
		check()
	})
	return s
}

func watchLeaks(t *testing.T) (check func()) {
	if r, w, err := os.Pipe(); err == nil { // so that the poller's own descriptors are there
		r.SetReadDeadline(time.Now())
		r.Read(make([]byte, 1))
		r.Close()
		w.Close()
	}
	routines, files := runtime.NumGoroutine(), descriptors()
	return func() {
		more := func() bool { return runtime.NumGoroutine() > routines || len(descriptors()) > len(files) }
		left := more()
		for end := time.Now().Add(limit); left && time.Now().Before(end); left = more() {
			<-time.After(time.Millisecond)
		}
		if left { // looked at once: what an earlier store lets go of later comes and goes
			stacks := make([]byte, 1<<20)
			t.Errorf("goroutines %d, were %d; descriptors %q, were %q\n%s", runtime.NumGoroutine(), routines,
				descriptors(), files, stacks[:runtime.Stack(stacks, true)])
		}
		entries, _ := os.ReadDir(os.Getenv("XDG_RUNTIME_DIR") + "/ipcmgr")
		if len(entries) > 0 {
			t.Errorf("left behind: %v", entries)
		}
	}
}

func descriptors() []string {
	entries, _ := os.ReadDir("/proc/self/fd")
	var open []string
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			open = append(open, to)
		}
	}
	slices.Sort(open)
	return open
}

func connect(t *testing.T, s *ipcmgr.Store, id string, opts ...ipcmgr.ConnectOption) ipcmgr.Client {
	t.Helper()
	c, err := s.Connect(testContext(t), id, opts...)
	require.NoError(t, err)
	return c
}

// send sends in order, and fails the test unless all is accepted.
func send(t *testing.T, c ipcmgr.Client, to string, contents ...any) {
	t.Helper()
	for _, v := range contents {
		require.NoError(t, c.Send(testContext(t), to, v))
	}
}

// receive receives n messages and decodes them as strings.
func receive(t *testing.T, c ipcmgr.Client, n int) []string {
	t.Helper()
	var got []string
	for range n {
		v, err := ipcmgr.ReceiveAs[string](testContext(t), c)
		require.NoError(t, err)
		got = append(got, v)
	}
	return got
}

func decode(t *testing.T, m *ipcmgr.Message) string {
	t.Helper()
	var v string
	require.NoError(t, m.Decode(&v))
	return v
}

// empty holds that nothing is ready.
func empty(t *testing.T, c ipcmgr.Client) {
	t.Helper()
	ms, err := c.Poll(testContext(t), 10)
	require.NoError(t, err)
	require.Empty(t, ms)
}

// victim is a client that a test crashes: in a process of its own, or for mem,
// which reaches none, in this one.
type victim struct {
	t     *testing.T
	s     *ipcmgr.Store
	id    string
	cmd   *exec.Cmd
	in    *json.Encoder
	out   *bufio.Scanner
	local ipcmgr.Client
}

// newVictim connects the client. It receives nothing unless told.
func newVictim(t *testing.T, s *ipcmgr.Store, id string) *victim {
	v := &victim{t: t, s: s, id: id}
	if s.Info().Protocol == "mem" {
		v.local = connect(t, s, id, ipcmgr.Resume())
		return v
	}
	exe, err := os.Executable()
	require.NoError(t, err)
	v.cmd = exec.Command(exe)
	v.cmd.Env = append(os.Environ(), roleEnv+"="+id, ipcmgr.EnvStore+"="+s.Info().String())
	v.cmd.Stderr = os.Stderr
	in, err := v.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := v.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, v.cmd.Start())
	v.in, v.out = json.NewEncoder(in), bufio.NewScanner(out)
	t.Cleanup(func() {
		in.Close()
		v.cmd.Wait()
	})
	require.Equal(t, "connected", v.answer())
	return v
}

func (v *victim) answer() string {
	v.t.Helper()
	require.True(v.t, v.out.Scan(), "the process of %s ended", v.id)
	return v.out.Text()
}

// receive makes it receive n messages, without acknowledging the last.
func (v *victim) receive(n int) []string {
	v.t.Helper()
	if v.local != nil {
		return receive(v.t, v.local, n)
	}
	require.NoError(v.t, v.in.Encode(order{Receive: n}))
	return strings.Split(v.answer(), " ")
}

// send makes it send one message.
func (v *victim) send(to, content string) {
	v.t.Helper()
	if v.local != nil {
		send(v.t, v.local, to, content)
		return
	}
	require.NoError(v.t, v.in.Encode(order{To: to, Content: content}))
	require.Equal(v.t, "sent", v.answer())
}

// crash kills it, and returns when that is seen.
func (v *victim) crash() {
	v.t.Helper()
	if v.local != nil {
		require.NoError(v.t, mem.Crash(v.s.Info().Route, v.id))
		defer v.local.Disconnect(context.Background(), nil) // so that this process forgets it
	} else {
		require.NoError(v.t, v.cmd.Process.Kill())
	}
	for p, err := range v.s.Watch(testContext(v.t)) {
		require.NoError(v.t, err)
		if p.ID == v.id && p.State == ipcmgr.Crashed {
			return
		}
	}
}

// order is what a victim is told, a JSON line each.
type order struct {
	Receive     int
	To, Content string
}

// play is the process of a victim. It ends with the test that started it.
func play(id string) error {
	ctx := context.Background()
	s, err := ipcmgr.Open(ctx, "")
	if err != nil {
		return err
	}
	c, err := s.Connect(ctx, id, ipcmgr.Resume())
	if err != nil {
		return err
	}
	fmt.Println("connected")
	for in := json.NewDecoder(os.Stdin); ; {
		var o order
		if in.Decode(&o) != nil {
			return nil
		}
		if o.To != "" {
			if err := c.Send(ctx, o.To, o.Content); err != nil {
				return err
			}
			fmt.Println("sent")
			continue
		}
		var got []string
		for range o.Receive {
			v, err := ipcmgr.ReceiveAs[string](ctx, c)
			if err != nil {
				return err
			}
			got = append(got, v)
		}
		fmt.Println(strings.Join(got, " "))
	}
}
