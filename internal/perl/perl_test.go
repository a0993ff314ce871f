package perl

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/protocol"
)

func nothing(string) bool { return false }

// newRoute is a route with the place for temporary files that ours has.
func newRoute(t *testing.T) *Route {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, ".ipcmgr", "tmp"), 0o700))
	return &Route{Dir: dir, Max: 200}
}

func (r *Route) file(t *testing.T, name, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(r.Dir, name), []byte(content), 0o600))
}

func (r *Route) text(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(r.Dir, name))
	require.NoError(t, err)
	return string(data)
}

func TestName(t *testing.T) {
	r := &Route{Dir: "/r", Max: 200}
	for id, want := range map[string]string{
		"bob":                    "bob",
		"ä b:c":                  "ä b:c",
		strings.Repeat("x", 200): strings.Repeat("x", 200),
		strings.Repeat("L", 250): "h-77919dc9dcf4a86cbdcba3ab0b35428a19cecc8c",
		"h-reserved":             "h-ed757374777b92096f7ef7b2f91de1e7afa3f6a2",
	} {
		got, err := r.Name(id)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, id := range []string{"a/b", `a\b`, "a\nb", strings.Repeat("x", 201)} {
		got, err := r.Name(id)
		require.NoError(t, err)
		require.Regexp(t, "^h-[0-9a-f]{40}$", got)
	}
	r.Max = hashed - 1
	got, err := r.Name("short")
	require.NoError(t, err)
	require.Equal(t, "short", got)
	_, err = r.Name("a/b")
	require.ErrorContains(t, err, "shorter route")
}

func TestLifeOfAClient(t *testing.T) {
	for _, id := range []string{"bob", "h-reserved"} {
		r := newRoute(t)
		d, err := r.Name(id)
		require.NoError(t, err)
		require.NoError(t, os.Mkdir(filepath.Join(r.Dir, d), 0o700))
		_, ok, err := r.Peer(id)
		require.NoError(t, err)
		require.False(t, ok, "still being made")

		require.NoError(t, r.Connected(id))
		require.Equal(t, strconv.Itoa(os.Getpid())+"\nipcmgr", r.text(t, d+".pid"))
		p, ok, err := r.Peer(id)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, protocol.Active, p.State)
		require.Equal(t, os.Getpid(), p.PID)
		if d != id {
			require.Equal(t, id, r.text(t, d+".name"))
		}

		until := time.Unix(1795152873, 160330000)
		require.NoError(t, r.Suspended(id, until, []byte(`{"read":{},"sent":{}}`)))
		require.Equal(t, "1795152873.16033", r.text(t, d+".suspend"))
		peers, err := r.Peers(nothing)
		require.NoError(t, err)
		require.Len(t, peers, 1)
		require.Equal(t, id, peers[0].ID)
		require.Equal(t, protocol.Suspended, peers[0].State)
		require.WithinDuration(t, until, peers[0].Until, 10*time.Microsecond)
		peers, err = r.Peers(func(name string) bool { return name == d })
		require.NoError(t, err)
		require.Empty(t, peers)

		require.NoError(t, r.Suspended(id, time.Time{}, nil))
		p, ok, err = r.Peer(id)
		require.NoError(t, err)
		require.True(t, ok)
		require.True(t, p.Until.IsZero())

		require.NoError(t, os.Remove(filepath.Join(r.Dir, d)))
		require.NoError(t, r.Left(id, []byte(`{"read":{"a":1},"sent":{}}`)))
		peers, err = r.Peers(nothing)
		require.NoError(t, err)
		require.Empty(t, peers)
		stats, err := r.Stats()
		require.NoError(t, err)
		require.Equal(t, `{"read":{"a":1},"sent":{}}`, string(stats[id].Data))

		require.NoError(t, r.Erase(id))
		left, err := os.ReadDir(r.Dir)
		require.NoError(t, err)
		require.Len(t, left, 1, "the dot directory")
	}
}

// What is not in Perl's form is passed over, and nothing is followed.
func TestRubbish(t *testing.T) {
	r := newRoute(t)
	outside := filepath.Join(t.TempDir(), "outside")
	require.NoError(t, os.WriteFile(outside, []byte("1"), 0o600))
	for _, d := range []string{"words", "negative", "huge", "link", "fifo.pid", "_left", ".hidden", "spawn", "0", "h-1", "h-2", "h-3"} {
		require.NoError(t, os.Mkdir(filepath.Join(r.Dir, d), 0o700))
	}
	r.file(t, "words.pid", "one")
	r.file(t, "negative.pid", "-1")
	r.file(t, "huge.pid", strings.Repeat("1", 1<<20))
	require.NoError(t, os.Symlink(outside, filepath.Join(r.Dir, "link.pid")))
	require.NoError(t, os.Symlink(filepath.Dir(outside), filepath.Join(r.Dir, "linked")))
	r.file(t, "linked.pid", "1")
	r.file(t, "file", "")
	r.file(t, "file.pid", "1")
	for _, d := range []string{"_left", ".hidden", "spawn", "0", "h-1", "h-2"} {
		r.file(t, d+".pid", "1")
	}
	r.file(t, "h-1.name", "somebody")
	require.NoError(t, os.Mkdir(filepath.Join(r.Dir, "h-3.name"), 0o700))
	require.NoError(t, os.Mkdir(filepath.Join(r.Dir, "words.stats"), 0o700))
	peers, err := r.Peers(nothing)
	require.NoError(t, err)
	require.Empty(t, peers)
	stats, err := r.Stats()
	require.NoError(t, err)
	require.Empty(t, stats)

	// More lines than the first are another's.
	require.NoError(t, os.Mkdir(filepath.Join(r.Dir, "lines"), 0o700))
	r.file(t, "lines.pid", "17\nmore")
	r.file(t, "words.pid", "")
	p, ok, err := r.Peer("lines")
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, 17, p.PID)
}

func TestSockets(t *testing.T) {
	dir, err := os.MkdirTemp("", "perl") // short enough for an address
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	r := &Route{Dir: dir, Max: 104 - len(dir) - 2, Sockets: true}
	require.NoError(t, os.MkdirAll(filepath.Join(dir, ".ipcmgr", "tmp"), 0o700))
	l, err := net.Listen("unix", filepath.Join(dir, "listens"))
	require.NoError(t, err)
	defer l.Close()
	r.file(t, "dials", "")
	r.file(t, "neither", "content")
	require.NoError(t, os.Mkdir(filepath.Join(dir, "nor"), 0o700))
	for _, d := range []string{"listens", "dials", "neither", "nor"} {
		r.file(t, d+".pid", "17")
	}
	r.file(t, "coming", "")
	peers, err := r.Peers(nothing)
	require.NoError(t, err)
	ids := map[string]bool{}
	for _, p := range peers {
		ids[p.ID] = true
	}
	require.Equal(t, map[string]bool{"listens": true, "dials": true}, ids)
	for _, id := range []string{"dials", "neither", "nor"} {
		require.NoError(t, r.Erase(id))
	}
	require.NoFileExists(t, filepath.Join(dir, "dials"))
	require.FileExists(t, filepath.Join(dir, "neither"))
	require.DirExists(t, filepath.Join(dir, "nor"))
}

func TestEraseLeavesWhatStrangersMade(t *testing.T) {
	r := newRoute(t)
	require.NoError(t, os.MkdirAll(filepath.Join(r.Dir, "a", "dir"), 0o700))
	r.file(t, "a/1.ready", "")
	r.file(t, "a/1.pend", "")
	require.NoError(t, r.Connected("a"))
	require.NoError(t, r.Erase("a"))
	require.NoFileExists(t, filepath.Join(r.Dir, "a/1.ready"))
	require.NoFileExists(t, filepath.Join(r.Dir, "a.pid"))
	require.DirExists(t, filepath.Join(r.Dir, "a/dir"))
}

// eager is a file system on which a sender puts a message into each of the next
// directories just before they are removed.
type eager struct {
	disk.FS
	left *int
}

type eagerDir struct {
	disk.Dir
	left *int
}

func (e eager) OpenDir(path string) (disk.Dir, error) {
	d, err := e.FS.OpenDir(path)
	return eagerDir{d, e.left}, err
}

func (d eagerDir) Rmdir(name string) error {
	if *d.left--; *d.left >= 0 {
		if err := os.WriteFile(filepath.Join(d.Path(), name, "late.ready"), nil, 0o600); err != nil {
			return err
		}
	}
	return d.Dir.Rmdir(name)
}

// A sender that does not know yet may be faster than who erases.
func TestEraseBesideASender(t *testing.T) {
	r := newRoute(t)
	left := 3
	r.FS = eager{disk.Real, &left}
	require.NoError(t, os.Mkdir(filepath.Join(r.Dir, "a"), 0o700))
	require.NoError(t, r.Erase("a"))
	require.NoDirExists(t, filepath.Join(r.Dir, "a"))
	require.Negative(t, left)
}

func TestHolds(t *testing.T) {
	holds := func(r *Route) bool {
		there, err := r.Holds()
		require.NoError(t, err)
		return there
	}
	require.True(t, holds(&Route{Dir: "../../testdata/perl/messagefiles", Max: 200}))
	require.True(t, holds(&Route{Dir: "../../testdata/perl/connectionunix", Max: 100, Sockets: true}))
	require.False(t, holds(&Route{Dir: filepath.Join(t.TempDir(), "missing"), Max: 200}))
	r := newRoute(t)
	r.file(t, "app.pid", "1")
	r.file(t, "vm.stats", "a virtual machine's")
	r.file(t, "notes", "")
	require.False(t, holds(r))
	require.NoError(t, os.Mkdir(filepath.Join(r.Dir, "spawn"), 0o700))
	r.file(t, "spawn.pid", "1")
	require.True(t, holds(r))
}

func TestDeadlines(t *testing.T) {
	require.Equal(t, int64(1795152873), parseTime("1795152873.16033").Unix())
	require.Equal(t, int64(5), parseTime("5").Unix())
	for _, s := range []string{"", "x", "NaN", "Inf", "-1", "1e300"} {
		require.True(t, parseTime(s).IsZero(), s)
	}
}
