//go:build unix

package unixsocket

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ipcmgr/ipcmgr/internal/step"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// hang is when anything is called stuck.
const hang = time.Minute

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	t.Cleanup(cancel)
	return ctx
}

// notices collects what a client has to tell.
type notices struct {
	mu   sync.Mutex
	all  []string
	more chan struct{}
}

func newNotices() *notices { return &notices{more: make(chan struct{}, 1)} }

func (n *notices) add(err error) {
	n.mu.Lock()
	n.all = append(n.all, err.Error())
	n.mu.Unlock()
	select {
	case n.more <- struct{}{}:
	default:
	}
}

// await waits for a notice with text in it.
func (n *notices) await(ctx context.Context, t testing.TB, text string) {
	t.Helper()
	for {
		n.mu.Lock()
		all := strings.Join(n.all, "\n")
		n.mu.Unlock()
		if strings.Contains(all, text) {
			return
		}
		select {
		case <-n.more:
		case <-ctx.Done():
			t.Fatalf("no notice with %q, only:\n%s", text, all)
		}
	}
}

// hello and who are those of the foreign format, for ids without escapes.
func hello(id string) []byte { return []byte(`{"hello":"` + id + `"}`) }

func who(b []byte) (string, error) {
	id, ok := strings.CutPrefix(string(b), `{"hello":"`)
	id, end := strings.CutSuffix(id, `"}`)
	if !ok || !end {
		return "", fmt.Errorf("not a hello: %q", b)
	}
	return id, nil
}

func options(id string, mode protocol.Mode, notice func(error)) protocol.ConnectOptions {
	return protocol.ConnectOptions{ID: id, Mode: mode, Hello: hello(id), Who: who, Notice: notice}
}

func settings() protocol.Settings {
	return protocol.Settings{Serializer: "json", MaxFrame: 1 << 20, MaxPending: 1 << 16, MaxBytes: 64 << 20}
}

func spawned(t testing.TB, change ...func(*protocol.Settings)) protocol.Store {
	t.Helper()
	set := settings()
	for _, f := range change {
		f(&set)
	}
	s, err := Protocol{}.Spawn(within(t), shortRoute(t), set)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, s.Unspawn(context.Background()))
		require.NoError(t, s.Close())
	})
	return s
}

// joined connects a client on a handle of its own.
func joined(t testing.TB, s protocol.Store, id string) (*Mailbox, *notices) {
	t.Helper()
	h, err := Protocol{}.Open(within(t), s.Route())
	require.NoError(t, err)
	n := newNotices()
	m, err := h.Connect(within(t), options(id, protocol.Resume, n.add))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.Close()) })
	return m.(*Mailbox), n
}

func frames(texts ...string) (fs []protocol.Frame) {
	for _, text := range texts {
		fs = append(fs, protocol.Frame{Data: []byte(text)})
	}
	return fs
}

func send(t testing.TB, m protocol.Mailbox, to string, texts ...string) {
	t.Helper()
	n, err := m.Deliver(within(t), to, frames(texts...), true)
	require.NoError(t, err)
	require.Equal(t, len(texts), n)
}

// fetched gives the next n messages and their sender, acknowledged.
func fetched(t testing.TB, m protocol.Mailbox, n int) (from string, texts []string) {
	t.Helper()
	ctx := within(t)
	for len(texts) < n {
		ds := make([]protocol.Delivery, n-len(texts))
		k, err := m.Fetch(ctx, ds, true)
		require.NoError(t, err)
		for _, d := range ds[:k] {
			texts = append(texts, string(d.Data))
			from = d.From
		}
		require.NoError(t, m.Ack(ctx, ds[:k]))
	}
	return from, texts
}

// raw is a connection that the test makes without our encoder.
func raw(t testing.TB, s protocol.Store, id string) *net.UnixConn {
	t.Helper()
	fd, err := newSocket()
	require.NoError(t, err)
	f := os.NewFile(uintptr(fd), id)
	defer f.Close()
	require.NoError(t, unix.SetNonblock(fd, false)) // it waits while too many wait to be accepted
	require.NoError(t, connectTo(fd, filepath.Join(s.Route(), id)))
	c, err := net.FileConn(f)
	require.NoError(t, err)
	require.NoError(t, c.SetDeadline(time.Now().Add(hang)))
	t.Cleanup(func() { c.Close() })
	return c.(*net.UnixConn)
}

func framed(texts ...string) (b []byte) {
	for _, text := range texts {
		b = binary.BigEndian.AppendUint32(b, uint32(len(text)))
		b = append(b, text...)
	}
	return b
}

func readFrame(t testing.TB, r io.Reader) string {
	t.Helper()
	var header [4]byte
	_, err := io.ReadFull(r, header[:])
	require.NoError(t, err)
	data := make([]byte, binary.BigEndian.Uint32(header[:]))
	_, err = io.ReadFull(r, data)
	require.NoError(t, err)
	return string(data)
}

// closed waits until the other side has closed c.
func closed(t testing.TB, c *net.UnixConn) {
	t.Helper()
	_, err := io.Copy(io.Discard, c)
	if err != nil && !strings.Contains(err.Error(), "reset") {
		t.Fatal(err)
	}
}

const childVar = "UNIXSOCKET_TEST_CHILD"

// started starts this binary again in a role, and gives what it says, line by
// line.
func started(t testing.TB, role, route string) (cmd *exec.Cmd, says *bufio.Scanner, orders io.WriteCloser) {
	t.Helper()
	cmd = exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVar+"="+role, "ROUTE="+route)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	orders, err = cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd, bufio.NewScanner(out), orders
}

func line(t testing.TB, says *bufio.Scanner) string {
	t.Helper()
	require.True(t, says.Scan(), "the process has ended: %v", says.Err())
	return says.Text()
}

// child plays a role until its standard input ends.
func child(role string) {
	ctx := context.Background()
	route := os.Getenv("ROUTE")
	must := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, role+":", err)
			os.Exit(1)
		}
	}
	open := func(id string) protocol.Mailbox {
		s, err := Protocol{}.Open(ctx, route)
		must(err)
		m, err := s.Connect(ctx, options(id, protocol.Resume, nil))
		must(err)
		return m
	}
	post := func(m protocol.Mailbox, texts ...string) {
		_, err := m.Deliver(ctx, "b", frames(texts...), true)
		must(err)
	}
	role, argument, _ := strings.Cut(role, " ")
	switch role {
	case "alive": // is a client
		open("a")
		fmt.Println("ready")
		io.Copy(io.Discard, os.Stdin)
	case "echo": // answers each message
		m := open("a")
		fmt.Println("ready")
		echo(ctx, m)
	case "forger": // says that it is a client of another process
		c, err := net.Dial("unix", filepath.Join(route, "b"))
		must(err)
		_, err = c.Write(framed(string(hello("a")), "forged"))
		must(err)
		fmt.Println("ready")
		io.Copy(io.Discard, c)
	case "silent": // makes more connections than are waited for, and says nothing
		for range maxStrangers + 1 {
			c, err := net.Dial("unix", filepath.Join(route, "b"))
			must(err)
			defer c.Close()
		}
		fmt.Println("ready")
		io.Copy(io.Discard, os.Stdin)
	case "starved": // has no descriptor to accept with until it is told to go on
		s, err := Protocol{}.Open(ctx, route)
		must(err)
		first := true
		m, err := s.Connect(ctx, options("a", protocol.New, func(err error) {
			if first && strings.Contains(err.Error(), "accept:") {
				fmt.Println(err)
				first = false
			}
		}))
		must(err)
		var limit unix.Rlimit
		must(unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
		fd, err := unix.Dup(0)
		must(err)
		fewer := limit
		must(unix.Close(fd))
		fewer.Cur = 0
		for range fd { // the lowest that is free; systems differ in the type
			fewer.Cur++
		}
		must(unix.Setrlimit(unix.RLIMIT_NOFILE, &fewer))
		fmt.Println("ready")
		bufio.NewScanner(os.Stdin).Scan()
		must(unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
		ds := make([]protocol.Delivery, 1)
		_, err = m.Fetch(ctx, ds, true)
		must(err)
		fmt.Println(string(ds[0].Data))
	case "slow": // does not go on with a new socket until it is told to
		step.On = func(name string) {
			if name == "listening" {
				fmt.Println("begun")
				bufio.NewScanner(os.Stdin).Scan()
			}
		}
		m := open("a")
		fmt.Println("ready")
		echo(ctx, m)
	case "half": // is killed in the middle of a message
		m := open("a")
		post(m, "whole")
		m.(*Mailbox).links["b"].conn.send(framed(strings.Repeat("x", 5000))[:2000])
		os.Exit(0)
	case "quick": // sends and leaves
		m := open("a")
		post(m, "one", "two")
		must(m.Leave(ctx, protocol.Departure{}))
	case "visitor": // sends and leaves without a trace
		m := open("a")
		post(m, "one", "two")
		fold := func(old []byte) ([]byte, error) { return []byte("{}"), nil }
		must(m.Leave(ctx, protocol.Departure{Fold: fold, Under: "_cli"}))
	case "bench":
		benchReader(ctx, route)
	case "raw":
		rawReader(route)
	case "crowd":
		size, err := strconv.Atoi(argument)
		must(err)
		crowd(ctx, route, size)
	default:
		must(errors.New("unknown role"))
	}
}

// echo sends each message back to who sent it.
func echo(ctx context.Context, m protocol.Mailbox) {
	ds := make([]protocol.Delivery, 64)
	for {
		n, err := m.Fetch(ctx, ds, true)
		if err != nil {
			return
		}
		for _, d := range ds[:n] {
			m.Deliver(ctx, d.From, []protocol.Frame{{Data: d.Data}}, true)
		}
		m.Ack(ctx, ds[:n])
	}
}
