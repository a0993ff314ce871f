package roster

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// Epochs order messages and name their files: one that came twice would have a
// new message replace an old one, or sort before it.
func TestEpochsGrowThoughRecordsAreLost(t *testing.T) {
	r := spawn(t, plainKind)
	last := uint64(0)
	for range 50 {
		for range 3 {
			e := enter(t, r, "a", protocol.Resume)
			require.Greater(t, e.Epoch, last)
			require.Less(t, e.Epoch, uint64(maxEpoch))
			last = e.Epoch
			require.NoError(t, e.Leave(t.Context(), protocol.Departure{Suspend: true}, nil))
		}
		require.NoError(t, os.Truncate(r.Path("peers", "a"), 9))
	}
}
