package roster

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/protocol"
)

func init() {
	roles["perl"] = func(args []string) {
		d := filepath.Join(args[0], args[1])
		check(os.MkdirAll(d, 0o700))
		temp := filepath.Join(args[0], ".x"+args[1])
		check(os.WriteFile(temp, []byte(strconv.Itoa(os.Getpid())), 0o600))
		check(os.Rename(temp, d+".pid"))
		os.Remove(d + ".suspend")
		stay("connected")
	}
}

// playPerl starts a process that connects as a Perl program does.
func playPerl(t *testing.T, route, id string) *child {
	t.Helper()
	c := start(t, "perl", route, id)
	require.Equal(t, "connected", c.line())
	return c
}

// corpus is a copy of a route that Perl wrote.
func corpus(t *testing.T) string {
	t.Helper()
	route := newRoute(t)
	require.NoError(t, os.CopyFS(route, os.DirFS("../../testdata/perl/messagefiles")))
	return route
}

func TestJoinARouteOfPerls(t *testing.T) {
	route := corpus(t)
	_, err := perlKind.Open(t.Context(), route)
	require.ErrorIs(t, err, protocol.ErrNoStore)
	_, err = perlKind.Spawn(t.Context(), route, settings)
	require.ErrorIs(t, err, protocol.ErrStoreExists)
	r, err := perlKind.Join(t.Context(), route, settings)
	require.NoError(t, err)
	defer r.Close()
	require.False(t, r.Owned())
	again, err := perlKind.Join(t.Context(), route, settings)
	require.NoError(t, err)
	defer again.Close()

	peers, _, err := r.Peers(t.Context())
	require.NoError(t, err)
	long := strings.Repeat("L", 250)
	require.Equal(t, []string{long, "bob", "h-reserved"}, ids(peers))
	for _, p := range peers {
		require.Equal(t, protocol.Suspended, p.State)
	}
	require.Equal(t, time.Unix(1795152873, 0).Unix(), peers[1].Until.Unix())
	stats, err := r.Stats(t.Context())
	require.NoError(t, err)
	require.Len(t, stats, 5)
	require.Contains(t, string(stats["alice"]), `"bob":12`)

	seen, err := r.Look("bob")
	require.NoError(t, err)
	require.True(t, seen.Foreign)
	_, err = r.Look("alice")
	require.ErrorIs(t, err, protocol.ErrNoPeer)

	e := enter(t, r, "bob", protocol.Reconnect)
	require.True(t, e.Foreign)
	require.Equal(t, protocol.Suspended, e.Found)
	require.NotEmpty(t, e.Stats)
	require.FileExists(t, filepath.Join(route, "bob.pid"))
	require.NoFileExists(t, filepath.Join(route, "bob.suspend"))
	seen, err = r.Look("bob")
	require.NoError(t, err)
	require.False(t, seen.Foreign)
	require.Equal(t, protocol.Active, seen.State)

	// Only what is about the client of ours goes with the store.
	require.NoError(t, r.Own(t.Context(), false))
	require.NoError(t, r.Unspawn(t.Context()))
	require.NoDirExists(t, filepath.Join(route, "bob"))
	require.NoFileExists(t, filepath.Join(route, "bob.pid"))
	require.FileExists(t, filepath.Join(route, "alice.stats"))
}

func TestForeignClientIsSeenToCrash(t *testing.T) {
	r := spawn(t, perlKind)
	require.NoError(t, r.Changed(t.Context(), 0))
	c := playPerl(t, r.Route(), "p")
	peers := await(t, r, inState("p", protocol.Active))
	require.Equal(t, c.Process.Pid, peers[0].PID)
	_, err := r.Enter(t.Context(), options("p", protocol.Resume), noSetup)
	require.ErrorIs(t, err, protocol.ErrPeerActive)
	c.kill()
	await(t, r, inState("p", protocol.Crashed))
	e := enter(t, r, "p", protocol.Reconnect)
	require.True(t, e.Foreign)
	require.Equal(t, protocol.Crashed, e.Found)
}

// A D.pid that is older than the process under its pid is about another one.
func TestForeignPidThatWasGivenAway(t *testing.T) {
	r := spawn(t, perlKind)
	c := playPerl(t, r.Route(), "p")
	old := time.Now().Add(-time.Hour)
	require.NoError(t, os.Chtimes(filepath.Join(r.Route(), "p.pid"), old, old))
	seen, err := r.Look("p")
	require.NoError(t, err)
	require.Equal(t, protocol.Crashed, seen.State)
	c.kill()
	require.NoError(t, r.perl.Erase("p"))
}

// A Perl program may take up what a client of ours suspended, and give it back.
func TestForeignClientUnderAnIDOfOurs(t *testing.T) {
	r := spawn(t, perlKind)
	e := enter(t, r, "p", protocol.New)
	require.NoError(t, os.Mkdir(filepath.Join(r.Route(), "p"), 0o700))
	until := time.Now().Add(time.Hour)
	require.NoError(t, e.Leave(t.Context(), protocol.Departure{Suspend: true, Until: until, Stats: []byte(`ours`)}, nil))
	require.NoFileExists(t, filepath.Join(r.Route(), "p.pid"))
	require.FileExists(t, filepath.Join(r.Route(), "p.suspend"))

	c := playPerl(t, r.Route(), "p")
	seen, err := r.Look("p")
	require.NoError(t, err)
	require.True(t, seen.Foreign)
	require.Equal(t, protocol.Active, seen.State)
	peers, _, err := r.Peers(t.Context())
	require.NoError(t, err)
	require.Len(t, peers, 1)
	require.Equal(t, c.Process.Pid, peers[0].PID)
	require.NoError(t, os.WriteFile(filepath.Join(r.Route(), "p.stats"), []byte(`theirs`), 0o600))
	c.kill()

	e = enter(t, r, "p", protocol.Reconnect)
	require.Equal(t, []byte("theirs"), e.Stats)
	require.NoError(t, os.Remove(filepath.Join(r.Route(), "p")))
	require.NoError(t, e.Leave(t.Context(), protocol.Departure{Stats: []byte("both")}, nil))
	stats, err := r.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, []byte("both"), stats["p"])
	data, err := os.ReadFile(filepath.Join(r.Route(), "p.stats"))
	require.NoError(t, err)
	require.Equal(t, "both", string(data))
	require.NoFileExists(t, filepath.Join(r.Route(), "p.pid"))
	require.NoFileExists(t, filepath.Join(r.Route(), "p.suspend"))
}

// The store is the only one to change nothing when foreign files cannot be
// written.
func TestEnterUndoneWithoutForeignFiles(t *testing.T) {
	r := spawn(t, perlKind)
	inTheWay := filepath.Join(r.Route(), "p.pid")
	require.NoError(t, os.Mkdir(inTheWay, 0o700))
	_, err := r.Enter(t.Context(), options("p", protocol.New), noSetup)
	require.Error(t, err)
	require.NoError(t, os.Remove(inTheWay))
	_, err = r.Look("p")
	require.ErrorIs(t, err, protocol.ErrNoPeer)
	enter(t, r, "p", protocol.New)
}

// A client that had left and connects again is nobody to others until its
// record says that it is there, though its mailbox and its old statistics look
// like those of a Perl client that has suspended. One that is killed meanwhile
// stays nobody, and its mailbox goes with the next Connect.
func TestConnectingAgainIsNotForeign(t *testing.T) {
	r := spawn(t, perlKind)
	other := open(t, perlKind, r.Route())
	mailbox := filepath.Join(r.Route(), "p")
	nobody := func() {
		_, err := other.Look("p")
		require.ErrorIs(t, err, protocol.ErrNoPeer)
		peers, _, err := other.Peers(t.Context())
		require.NoError(t, err)
		require.NotContains(t, ids(peers), "p")
	}
	for range 2 {
		e, err := r.Enter(t.Context(), options("p", protocol.New), func(*Entry) error {
			require.NoError(t, os.Mkdir(mailbox, 0o700))
			nobody()
			return nil
		})
		require.NoError(t, err)
		require.Equal(t, protocol.Gone, e.Found)
		leave := protocol.Departure{Stats: []byte("{}")}
		require.NoError(t, e.Leave(t.Context(), leave, func() error { return os.Remove(mailbox) }))
	}

	require.NoError(t, r.noteEntering("p")) // as one who is killed then leaves it
	require.NoError(t, os.Mkdir(mailbox, 0o700))
	nobody()
	enter(t, r, "q", protocol.New)
	require.NoDirExists(t, mailbox)
	require.FileExists(t, mailbox+".stats")
	nobody()
}
