package measure_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ipcmgr/ipcmgr/internal/measure"
)

// What a row says of a disk is true of one only.
func TestKeeps(t *testing.T) {
	on := func(dir, lane string) string {
		p := plan(measure.Row{Lane: lane, Size: 64, Dir: dir})
		p.Rounds, p.Tasks[0].Shapes = 1, []measure.Shape{measure.Trip}
		results, err := p.Run(t.Context())
		require.NoError(t, err)
		return results[0].Durable
	}
	dirs := []string{t.TempDir()}
	if dir, err := os.MkdirTemp("/dev/shm", "b"); err == nil {
		t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
		dirs = append(dirs, dir)
	}
	for _, dir := range dirs {
		var st unix.Statfs_t
		require.NoError(t, unix.Statfs(dir, &st))
		synced, unsynced := measure.Synced, measure.Unsynced
		if uint32(st.Type) == unix.TMPFS_MAGIC {
			synced, unsynced = "memory: sync gains nothing", "memory: outlives processes"
		}
		require.Equal(t, synced, on(dir, "kept: "+measure.Synced))
		require.Equal(t, unsynced, on(dir, "kept: "+measure.Unsynced))
		require.Equal(t, measure.InFlight, on(dir, measure.RawUnix().Name))
		require.Equal(t, "memory: outlives processes", on(dir, "memory: "+measure.Unsynced), "a lane in memory is never on a disk")
		require.Empty(t, entries(t, dir))
	}
}
