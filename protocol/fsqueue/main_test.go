package fsqueue_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/ipcmgr/ipcmgr/protocol/fsqueue"
	"github.com/ipcmgr/ipcmgr/protocol/protocoltest"
)

// actVar names, in a process that a test started, the act that it plays.
const actVar = "IPCMGR_FSQUEUE_ACT"

// An act reads its arguments as lines from in. Its process ends with it.
var acts = map[string]func(ctx context.Context, args []string, in *bufio.Reader, out io.Writer) error{}

func TestMain(m *testing.M) {
	if name := os.Getenv(actVar); name != "" {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		err := acts[name](ctx, os.Args[1:], bufio.NewReader(os.Stdin), os.Stdout)
		cancel()
		if err != nil {
			fmt.Fprintln(os.Stderr, name+":", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	protocoltest.Main(m)
}

// player is a process that plays an act.
type player struct {
	t   testing.TB
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func start(t testing.TB, act string, args ...string) *player {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), actVar+"="+act)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	p := &player{t, cmd, in, bufio.NewReader(out)}
	t.Cleanup(p.kill)
	return p
}

func (p *player) say(line string) {
	p.t.Helper()
	_, err := fmt.Fprintln(p.in, line)
	require.NoError(p.t, err)
}

func (p *player) hear() string {
	p.t.Helper()
	line, err := p.out.ReadString('\n')
	require.NoError(p.t, err, "the process said nothing more")
	return line[:len(line)-1]
}

// kill ends the process, if it has not ended, and waits for that.
func (p *player) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

func settings() protocol.Settings {
	return protocol.Settings{Serializer: "json", MaxFrame: 1 << 20, MaxPending: 65536, MaxBytes: 64 << 20}
}

func spawn(t testing.TB, s protocol.Settings) protocol.Store {
	t.Helper()
	st, err := fsqueue.Protocol{}.Spawn(t.Context(), t.TempDir()+"/route", s)
	require.NoError(t, err)
	t.Cleanup(func() { st.Close() })
	return st
}

func connect(t testing.TB, st protocol.Store, id string, mode protocol.Mode) protocol.Mailbox {
	t.Helper()
	m, err := st.Connect(t.Context(), protocol.ConnectOptions{ID: id, Mode: mode, Notice: func(err error) { t.Log("notice:", err) }})
	require.NoError(t, err)
	return m
}

// frames makes messages of texts.
func frames(texts ...string) []protocol.Frame {
	fs := make([]protocol.Frame, len(texts))
	for i, text := range texts {
		fs[i] = protocol.Frame{ID: fmt.Appendf(nil, "id-%s", text), Data: []byte(text)}
	}
	return fs
}

func send(t testing.TB, m protocol.Mailbox, to string, texts ...string) {
	t.Helper()
	n, err := m.Deliver(t.Context(), to, frames(texts...), false)
	require.NoError(t, err)
	require.Equal(t, len(texts), n)
}

// ready fetches all that is there.
func ready(t testing.TB, m protocol.Mailbox) (all []protocol.Delivery) {
	t.Helper()
	ds := make([]protocol.Delivery, 100)
	for {
		n, err := m.Fetch(t.Context(), ds, false)
		require.NoError(t, err)
		if n == 0 {
			return all
		}
		all = append(all, ds[:n]...)
	}
}

// texts are the messages fetched; one that is marked has a "!".
func texts(ds []protocol.Delivery) []string {
	all := []string{}
	for _, d := range ds {
		text := string(d.Data)
		if d.Redelivered {
			text += "!"
		}
		all = append(all, text)
	}
	return all
}
