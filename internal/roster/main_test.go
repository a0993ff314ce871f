package roster

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/internal/perl"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// A test gets other processes by running this binary again in a role. A role
// prints a line when it has done its part, and lives until its input ends.

const roleVariable = "IPCMGR_ROSTER_ROLE"

var roles = map[string]func(args []string){}

func TestMain(m *testing.M) {
	if name := os.Getenv(roleVariable); name != "" {
		roles[name](os.Args[1:])
		return
	}
	os.Exit(m.Run())
}

// child is another process in a role.
type child struct {
	*exec.Cmd
	in  io.Closer
	out *bufio.Scanner
}

func start(t *testing.T, role string, args ...string) *child {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	c := &child{cmd, in, bufio.NewScanner(out)}
	t.Cleanup(c.kill)
	return c
}

// line is the next one that the child prints; "" if it has ended.
func (c *child) line() string {
	c.out.Scan()
	return c.out.Text()
}

func (c *child) kill() {
	if c.ProcessState == nil {
		c.Process.Kill()
		c.Wait()
	}
}

// stay is how a role that has done its part waits.
func stay(said any) {
	fmt.Println(said)
	io.Copy(io.Discard, os.Stdin)
}

func check(err error) {
	if err != nil {
		fmt.Println("error:", strings.ReplaceAll(err.Error(), "\n", "; "))
		os.Exit(1)
	}
}

var plainKind = &Kind{Protocol: "test", Dirs: []string{"more"}}

var perlKind = &Kind{Protocol: "test", Perl: func(route string) *perl.Route {
	return &perl.Route{Dir: route, Max: 200}
}}

var settings = protocol.Settings{Serializer: "json", MaxFrame: 100, MaxPending: 10, MaxBytes: 1000}

// newRoute is a fresh directory that is fit to be one.
func newRoute(t *testing.T) string {
	t.Helper()
	route := t.TempDir()
	require.NoError(t, os.Chmod(route, 0o700))
	return route
}

// spawn makes a store and, in the end, sees that it goes without a trace.
func spawn(t *testing.T, k *Kind) *Roster {
	t.Helper()
	route := newRoute(t)
	r, err := k.Spawn(t.Context(), route, settings)
	require.NoError(t, err)
	t.Cleanup(func() {
		defer r.Close()
		if r.standing() != nil {
			return
		}
		require.NoError(t, r.Own(context.Background(), true))
		require.NoError(t, r.Unspawn(context.Background()))
		left, err := os.ReadDir(route)
		require.NoError(t, err)
		require.Empty(t, left)
	})
	return r
}

func open(t *testing.T, k *Kind, route string) *Roster {
	t.Helper()
	r, err := k.Open(t.Context(), route)
	require.NoError(t, err)
	t.Cleanup(func() { r.Close() })
	return r
}

func enter(t *testing.T, r *Roster, id string, mode protocol.Mode) *Entry {
	t.Helper()
	e, err := r.Enter(t.Context(), options(id, mode), noSetup)
	require.NoError(t, err)
	return e
}

func options(id string, mode protocol.Mode) protocol.ConnectOptions {
	return protocol.ConnectOptions{ID: id, Mode: mode}
}

func noSetup(*Entry) error { return nil }

func ids(peers []protocol.Peer) []string {
	var all []string
	for _, p := range peers {
		all = append(all, p.ID)
	}
	return all
}

// stuck is when anything is called hanging.
const stuck = time.Minute

// await blocks until the handle's list is as ok wants it.
func await(t *testing.T, r *Roster, ok func([]protocol.Peer) bool) []protocol.Peer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stuck)
	defer cancel()
	for {
		peers, rev, err := r.Peers(ctx)
		require.NoError(t, err)
		if ok(peers) {
			return peers
		}
		require.NoError(t, r.Changed(ctx, rev), "the list stayed %v", peers)
	}
}

// awaiting is await beside what the test goes on to do. It gives nil if the list
// never came to be so.
func awaiting(t *testing.T, r *Roster, ok func([]protocol.Peer) bool) <-chan []protocol.Peer {
	told := make(chan []protocol.Peer, 1)
	go func() {
		defer close(told)
		told <- await(t, r, ok)
	}()
	return told
}

func inState(id string, s protocol.State) func([]protocol.Peer) bool {
	return func(peers []protocol.Peer) bool {
		for _, p := range peers {
			if p.ID == id {
				return p.State == s
			}
		}
		return s == protocol.Gone
	}
}

// hold is the role of a client.
func init() {
	roles["hold"] = func(args []string) {
		r, err := plainKind.Open(context.Background(), args[0])
		check(err)
		_, err = r.Enter(context.Background(), options(args[1], protocol.Resume), noSetup)
		check(err)
		stay("held")
	}
}

// killed starts a client and kills it.
func killed(t *testing.T, r *Roster, id string) {
	t.Helper()
	c := start(t, "hold", r.Route(), id)
	require.Equal(t, "held", c.line())
	c.kill()
}
