package roster

import (
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// interrupted is a directory in which something happens just before the first
// file is looked at.
type interrupted struct {
	disk.Dir
	do *func()
}

func (i interrupted) Stat(name string) (disk.Info, error) {
	do := *i.do
	*i.do = func() {}
	do()
	return i.Dir.Stat(name)
}

// A client that leaves meanwhile is counted once: where it was, or where it
// left its counts.
func TestStatsBesideAGoodbye(t *testing.T) {
	r := spawn(t, plainKind)
	e := enter(t, r, "unnamed", protocol.New)
	require.NoError(t, e.Publish(t.Context(), nil, []byte("counts")))
	left := make(chan error, 1)
	real := r.records.dir
	leave := func() {
		r.records.dir = real
		go func() {
			left <- e.Leave(t.Context(), protocol.Departure{
				Under: "_cli",
				Fold:  func([]byte) ([]byte, error) { return []byte("counts"), nil },
			}, nil)
		}()
		for range 10000 { // for Leave to end, if it does not wait
			runtime.Gosched()
		}
	}
	r.records.dir = interrupted{real, &leave}
	stats, err := r.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string][]byte{"unnamed": []byte("counts")}, stats)
	require.NoError(t, <-left)
	stats, err = r.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string][]byte{"_cli": []byte("counts")}, stats)
}

// Of two files of one instant the record is the newer: what foreign programs
// read is written after it, and says the same.
func TestStatsOfOneInstant(t *testing.T) {
	r := spawn(t, perlKind)
	e := enter(t, r, "a", protocol.New)
	require.NoError(t, e.Leave(t.Context(), protocol.Departure{Stats: []byte("1")}, nil))
	e = enter(t, r, "a", protocol.New)
	require.NoError(t, e.Publish(t.Context(), nil, []byte("2")))
	then := time.Now().Add(-time.Minute)
	require.NoError(t, os.Chtimes(r.Path("peers", "a"), then, then))
	require.NoError(t, os.Chtimes(r.Route()+"/a.stats", then, then))
	stats, err := r.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string][]byte{"a": []byte("2")}, stats)
	e.Abandon()
	require.Equal(t, []byte("2"), enter(t, r, "a", protocol.Resume).Stats)
}
