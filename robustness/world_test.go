package robustness

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/internal/trial"
	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/ipcmgr/ipcmgr/protocol/mem"
	"github.com/ipcmgr/ipcmgr/serializer"
)

// stuck is when anything is called hanging, on whatever machine.
const stuck = 5 * time.Minute

var (
	inDirectories = trial.Viable("fsqueue", "unixsocket", "bbolt", "shm")
	everywhere    = append([]string{"mem"}, inDirectories...)
)

// world is one store under test, and what it may use.
type world struct {
	testing.TB
	ctx   context.Context
	base  string // a short directory of the test's own
	store *ipcmgr.Store
}

// over runs a test over some protocols, each with a temporary store.
func over(t *testing.T, protocols []string, c ipcmgr.Config, f func(w *world)) {
	for _, name := range protocols {
		t.Run(name, func(t *testing.T) {
			c := c
			c.Protocol = ipcmgr.Names{name}
			f(newWorld(t, c))
		})
	}
}

func newWorld(t testing.TB, c ipcmgr.Config) *world {
	ctx, cancel := context.WithTimeout(context.Background(), stuck)
	t.Cleanup(cancel)
	w := &world{TB: t, ctx: ctx, base: openPlace(t, c.Protocol[0])}
	t.Setenv("XDG_RUNTIME_DIR", w.base)
	var err error
	w.store, err = ipcmgr.Spawn(ctx, c)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stuck)
		defer cancel()
		for _, c := range w.store.Clients() {
			c.Disconnect(ctx, nil)
		}
		w.store.Shutdown(ctx) // its error is the business of tests about it
	})
	return w
}

// openPlace is a directory for stores of the protocol to which other users get
// through.
func openPlace(t testing.TB, protocol string) string {
	parent := trial.Parent(protocol)
	if parent == os.TempDir() {
		parent = "/tmp" // whatever the user has set
	}
	dir, err := os.MkdirTemp(parent, "ipc")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (w *world) protocol() string { return w.store.Info().Protocol }

// route is where the store is; dot what is in its directory of ours.
func (w *world) route() string { return w.store.Info().Route }
func (w *world) dot(elem ...string) string {
	return filepath.Join(append([]string{w.route(), ".ipcmgr"}, elem...)...)
}

func (w *world) connect(id string, opts ...ipcmgr.ConnectOption) ipcmgr.Client {
	w.Helper()
	c, err := w.store.Connect(w.ctx, id, opts...)
	require.NoError(w, err)
	return c
}

func (w *world) send(c ipcmgr.Client, to string, contents ...any) {
	w.Helper()
	for _, v := range contents {
		require.NoError(w, c.Send(w.ctx, to, v))
	}
}

// receive receives n messages and decodes them as strings.
func (w *world) receive(c ipcmgr.Client, n int) []string {
	w.Helper()
	var got []string
	for range n {
		text, err := ipcmgr.ReceiveAs[string](w.ctx, c)
		require.NoError(w, err)
		got = append(got, text)
	}
	return got
}

// leave disconnects a client whose mailbox is empty.
func (w *world) leave(c ipcmgr.Client) {
	w.Helper()
	require.NoError(w, c.Disconnect(w.ctx, nil))
}

func (w *world) serializer() serializer.Serializer {
	s, err := serializer.Get(w.store.Info().Serializer)
	require.NoError(w, err)
	return s
}

// raw connects a client below all that the root package checks.
func (w *world) raw(id string) protocol.Mailbox {
	w.Helper()
	p, err := protocol.Get(w.protocol())
	require.NoError(w, err)
	st, err := p.Open(w.ctx, w.route())
	require.NoError(w, err)
	mb, err := st.Connect(w.ctx, protocol.ConnectOptions{ID: id, Hello: w.hello(id), Who: func(b []byte) (string, error) {
		var h map[string]string
		err := w.serializer().DecodeContent(b, &h)
		return h["hello"], err
	}})
	require.NoError(w, err)
	w.Cleanup(func() { st.Close() })
	return mb
}

// envelope encodes a message as a sender of ours would.
func (w *world) envelope(from, to string, content any) []byte {
	body, err := w.serializer().AppendContent(nil, content)
	require.NoError(w, err)
	data, err := w.serializer().AppendEnvelope(nil, &serializer.Envelope{
		ID: []byte("ID-" + from), From: []byte(from), To: []byte(to), Micros: 1, Content: body,
	})
	require.NoError(w, err)
	return data
}

// await waits until a peer is in a state.
func (w *world) await(id string, state ipcmgr.State) {
	w.Helper()
	for p, err := range w.store.Watch(w.ctx) {
		require.NoError(w, err)
		if p.ID == id && p.State == state {
			return
		}
	}
	require.NoError(w, context.Cause(w.ctx))
}

// quickly holds that nothing sleeps or times out, which takes a second each
// time: what only a busy machine delays is done much sooner now and then.
func quickly(t testing.TB, do func()) {
	t.Helper()
	for end := time.Now().Add(stuck / 2); time.Now().Before(end); {
		start := time.Now()
		do()
		if time.Since(start) < 700*time.Millisecond {
			return
		}
	}
	t.Fatal("it is never done sooner than in a second")
}

// A puppet is a client in a process of its own that does what it is told.
type puppet struct {
	w     *world
	id    string
	cmd   *exec.Cmd
	in    *json.Encoder
	out   *bufio.Reader
	local ipcmgr.Client // over mem, which reaches no other process
}

// order is what a puppet is told, as a line of JSON.
type order struct {
	Op string // send, receive, rest, suspend, disconnect
	To string
	N  int // messages
	As string
}

// answer is what it says about it.
type answer struct {
	Err   string
	Texts []string
	N     int
}

func init() { roles["puppet"] = playPuppet }

// puppet starts one under an id, which it takes up if need be.
func (w *world) puppet(id string) *puppet {
	w.Helper()
	p := &puppet{w: w, id: id}
	if w.protocol() == "mem" {
		p.local = w.connect(id, ipcmgr.Resume())
		return p
	}
	p.begin()
	require.Empty(w, p.hear().Err)
	return p
}

// begin starts its process; the first thing it says is about its Connect.
func (p *puppet) begin() {
	p.w.Helper()
	var in io.Writer
	p.cmd, in, p.out = p.w.start("puppet", p.id)
	p.in = json.NewEncoder(in)
}

// start starts this binary in a role. The process ends with the test.
func (w *world) start(role string, args ...string) (*exec.Cmd, io.WriteCloser, *bufio.Reader) {
	w.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), roleEnv+"="+role, ipcmgr.EnvStore+"="+w.store.Info().String())
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(w, err)
	out, err := cmd.StdoutPipe()
	require.NoError(w, err)
	require.NoError(w, cmd.Start())
	w.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd, in, bufio.NewReader(out)
}

func (p *puppet) tell(o order) {
	p.w.Helper()
	require.NoError(p.w, p.in.Encode(o))
}

func (p *puppet) hear() (a answer) {
	p.w.Helper()
	line, err := p.out.ReadBytes('\n')
	require.NoError(p.w, err, "the process of %s ended", p.id)
	require.NoError(p.w, json.Unmarshal(line, &a))
	return a
}

// do has it done.
func (p *puppet) do(o order) answer {
	p.w.Helper()
	if p.local != nil {
		return obey(p.w.ctx, p.local, o)
	}
	p.tell(o)
	return p.hear()
}

// kill kills it, and returns when the store knows.
func (p *puppet) kill() {
	p.w.Helper()
	if p.local != nil {
		require.NoError(p.w, mem.Crash(p.w.route(), p.id))
		p.local.Disconnect(p.w.ctx, nil) // this process forgets it
	} else {
		require.NoError(p.w, p.cmd.Process.Kill())
		p.cmd.Wait()
	}
	p.w.await(p.id, ipcmgr.Crashed)
}

func playPuppet() error {
	ctx := context.Background()
	out := json.NewEncoder(os.Stdout)
	s, err := ipcmgr.Open(ctx, "")
	if err != nil {
		return err
	}
	c, err := s.Connect(ctx, os.Args[1], ipcmgr.Resume())
	if err != nil {
		return out.Encode(answer{Err: err.Error()})
	}
	if err := out.Encode(answer{}); err != nil {
		return err
	}
	for in := json.NewDecoder(os.Stdin); ; {
		var o order
		if err := in.Decode(&o); err != nil {
			return nil // the test has ended
		}
		if err := out.Encode(obey(ctx, c, o)); err != nil {
			return err
		}
	}
}

func obey(ctx context.Context, c ipcmgr.Client, o order) (a answer) {
	var err error
	switch o.Op {
	case "send":
		for ; a.N < o.N && err == nil; a.N++ {
			if err = c.Send(ctx, o.To, fmt.Sprint(o.As, a.N)); err != nil {
				break
			}
		}
	case "receive":
		for range o.N {
			var text string
			if text, err = ipcmgr.ReceiveAs[string](ctx, c); err != nil {
				break
			}
			a.Texts = append(a.Texts, text)
		}
	case "rest": // puts on record what is acknowledged
		var ms []*ipcmgr.Message
		ms, err = c.Poll(ctx, 1)
		a.N = len(ms)
	case "suspend":
		err = c.Suspend(ctx, time.Time{})
	case "disconnect":
		err = c.Disconnect(ctx, nil)
	default:
		err = errors.New("an order that no puppet knows: " + o.Op)
	}
	if err != nil {
		a.Err = err.Error()
	}
	return a
}

// numbered are the texts that a puppet sends.
func numbered(as string, n int) (texts []string) {
	for i := range n {
		texts = append(texts, fmt.Sprint(as, i))
	}
	return texts
}

func long(n int) string { return strings.Repeat("x", n) }

// hello is what a connection of id begins with.
func (w *world) hello(id string) []byte {
	data, err := w.serializer().AppendContent(nil, map[string]string{"hello": id})
	require.NoError(w, err)
	return data
}

func frame(data []byte) []protocol.Frame { return []protocol.Frame{{ID: []byte("x"), Data: data}} }

// tree lists all that is below root.
func tree(w *world, root string) (paths []string) {
	require.NoError(w, filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		paths = append(paths, path)
		return err
	}))
	return paths
}
