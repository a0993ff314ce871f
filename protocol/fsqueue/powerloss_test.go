package fsqueue

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/internal/disk/diskfault"
	"github.com/ipcmgr/ipcmgr/internal/disk/powerloss"
	"github.com/ipcmgr/ipcmgr/internal/roster"
	"github.com/ipcmgr/ipcmgr/internal/trial"
	"github.com/ipcmgr/ipcmgr/protocol"
)

var cutLots = flag.Int("fsqueue.cuts", 3, "how many lots are drawn at each point where the power is cut")

// memoryDir is a directory in memory where there is one: these tests make
// thousands of stores, and what they ask of a disk they count themselves.
func memoryDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "ipcmgr-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// unsynced are real files that are not put on disk.
func unsynced() disk.FS {
	return diskfault.New(disk.Real, func(op, _ string) error {
		if op == diskfault.Sync || op == diskfault.SyncDir {
			return diskfault.ErrSkip
		}
		return nil
	})
}

// deed is one verb that the script carried out, and between which calls.
type deed struct {
	verb       string
	what       []string
	begin, end int
}

// history is what was done before a cut.
type history []deed

func (h history) done(at int, verb string) bool {
	return slices.ContainsFunc(h, func(d deed) bool { return d.verb == verb && d.end <= at })
}

func (h history) begun(at int, verb string) bool {
	return slices.ContainsFunc(h, func(d deed) bool { return d.verb == verb && d.begin < at })
}

// texts are what the verbs were about that were done, or at least begun.
func (h history) texts(at int, done bool, verbs ...string) (all []string) {
	for _, d := range h {
		if slices.Contains(verbs, d.verb) && (d.end <= at || !done && d.begin < at) {
			all = append(all, d.what...)
		}
	}
	return all
}

// last is the last deed of those that was begun.
func (h history) last(at int, verbs ...string) (last deed) {
	for _, d := range h {
		if slices.Contains(verbs, d.verb) && d.begin < at {
			last = d
		}
	}
	return last
}

// With Sync, whenever the power is cut: what was accepted is there and whole,
// what was acknowledged stays away, and the store works on.
func TestPowerLoss(t *testing.T) {
	recorded := memoryDir(t)
	rec := powerloss.New(disk.Real, recorded)
	s := newScript(t, rec, filepath.Join(recorded, "route"), true)
	var h history
	s.before = func(verb string, what ...string) {
		h = append(h, deed{verb, what, rec.Now(), 0})
	}
	s.after = func(verb string, _ ...string) { h[len(h)-1].end = rec.Now() }
	s.run(t.Context())
	s.check()

	seed := rand.Uint64()
	trial.Report(t, "seed %d", seed)
	lots := rand.New(rand.NewPCG(seed, 0))
	fates := []powerloss.Fate{powerloss.None, powerloss.All}
	for range *cutLots {
		fates = append(fates, powerloss.Chance(lots))
	}
	cuts := 0
	dir := memoryDir(t)
	for at := range rec.Now() + 1 {
		for i, fate := range fates {
			to := filepath.Join(dir, fmt.Sprint(at, "-", i))
			require.NoError(t, rec.Rebuild(at, fate, to))
			ok := t.Run(fmt.Sprint(at, "-", i), func(t *testing.T) { h.survives(t, at, filepath.Join(to, "route")) })
			require.True(t, ok, "after %+v", h.last(at, "spawn", "connect al", "connect bo", "deliver", "fetch", "acknowledge", "publish", "suspend bo", "reject", "seal", "leave bo", "leave al", "unspawn"))
			require.NoError(t, os.RemoveAll(to))
			cuts++
		}
	}
	trial.Report(t, "%d cuts", cuts)
}

// survives checks what a cut has left at route.
func (h history) survives(t *testing.T, at int, route string) {
	st := h.reopen(t, at, route)
	defer st.Close()
	notice := func(err error) {
		if !strings.Contains(err.Error(), "not watched") { // which is the machine's limits
			t.Error("notice:", err)
		}
	}
	attach := func(id string) *mailbox {
		m, err := st.Connect(t.Context(), protocol.ConnectOptions{ID: id, Mode: protocol.Resume, Notice: notice})
		require.NoError(t, err)
		epochs := 0
		for _, d := range h {
			if d.verb == "connect "+id && d.end <= at && !h.begun(at, "unspawn") {
				epochs++
			}
		}
		require.Greater(t, m.Epoch(), uint64(epochs), "an epoch comes once")
		return m.(*mailbox)
	}
	bo := attach("bo")
	left := h.last(at, "suspend bo", "connect bo", "leave bo")
	suspended := left.verb == "suspend bo" && left.end <= at
	if suspended {
		require.Equal(t, protocol.Suspended, bo.Found())
	}
	if h.done(at, "publish") && !h.begun(at, "leave bo") {
		attrs, stats := bo.Left()
		require.Equal(t, map[string]string{"k": "v"}, attrs)
		require.JSONEq(t, `{"read":{"al":3}}`, string(stats))
	}
	ds := make([]protocol.Delivery, 100)
	var got []string
	for {
		n, err := bo.Fetch(t.Context(), ds, false)
		require.NoError(t, err)
		if n == 0 {
			break
		}
		for _, d := range ds[:n] {
			got = append(got, string(d.Data))
			if suspended {
				require.Equal(t, string(d.Data) == "e", d.Redelivered, "what was put back is marked, and nothing else")
			}
		}
		require.NoError(t, bo.Ack(t.Context(), ds[:n]))
	}
	acked := h.texts(at, true, "acknowledge", "reject")
	acking := h.texts(at, false, "acknowledge", "reject")
	begun := h.texts(at, false, "deliver")
	for _, text := range got {
		require.Contains(t, begun, text, "nobody sent it")
		require.NotContains(t, acked, text, "what was acknowledged came again")
	}
	inOrder := slices.Clone(got)
	slices.SortStableFunc(inOrder, func(a, b string) int { return slices.Index(begun, a) - slices.Index(begun, b) })
	require.Equal(t, inOrder, got)
	if !h.begun(at, "leave bo") {
		for _, text := range h.texts(at, true, "deliver") {
			if !slices.Contains(acking, text) {
				require.Contains(t, got, text, "accepted and lost")
			}
		}
	}
	h.rejected(t, at, route)

	al := attach("al")
	n, err := give(t, al, "bo", "new")
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, []string{"new"}, take(t, bo))
	require.NoError(t, bo.Seal(t.Context()))
	require.NoError(t, bo.Leave(t.Context(), protocol.Departure{}))
	require.NoError(t, al.Leave(t.Context(), protocol.Departure{}))
	require.NoError(t, st.Own(t.Context(), false))
	require.NoError(t, st.Unspawn(t.Context()))
}

// reopen opens the store; one that had not been spawned may have to be.
func (h history) reopen(t *testing.T, at int, route string) *store {
	st, err := newStore(kind(unsynced()).Open(t.Context(), route))
	if errors.Is(err, protocol.ErrNoStore) && (!h.done(at, "spawn") || h.begun(at, "unspawn")) {
		st, err = newStore(kind(unsynced()).Spawn(t.Context(), route, protocol.Settings{Serializer: "json", MaxFrame: 1 << 20, MaxPending: 1000, MaxBytes: 1 << 24, Sync: true}))
	}
	require.NoError(t, err)
	require.True(t, st.Settings().Sync)
	require.Equal(t, 1000, st.Settings().MaxPending)
	return st.(*store)
}

// rejected finds what was rejected, and nothing that is damaged.
func (h history) rejected(t *testing.T, at int, route string) {
	found, err := filepath.Glob(filepath.Join(route, roster.Dot, "corrupt", "bo", "*-rejected"))
	require.NoError(t, err)
	all, err := filepath.Glob(filepath.Join(route, roster.Dot, "corrupt", "*", "*"))
	require.NoError(t, err)
	for _, name := range all {
		require.True(t, strings.HasSuffix(name, "-rejected") || strings.HasSuffix(name, "-rejected.reason"), name)
	}
	if h.done(at, "reject") && !h.begun(at, "unspawn") {
		require.Len(t, found, 1)
		data, err := os.ReadFile(found[0])
		require.NoError(t, err)
		require.Equal(t, "g", string(data))
	}
}
