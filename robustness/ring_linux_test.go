package robustness

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/internal/trial"
)

// What is damaged in shared memory goes to OnCorrupt and is counted, like a
// damaged message of any protocol, and all others arrive.
func TestDamagedRecordIsCounted(t *testing.T) {
	for _, serializer := range []string{"json", "msgpack"} {
		over(t, trial.Viable("shm"), ipcmgr.Config{Serializer: serializer}, func(w *world) {
			told := 0
			b := w.connect("b", ipcmgr.OnCorrupt(func(*ipcmgr.CorruptError) { told++ }), ipcmgr.Logger(silent))
			a := w.connect("a")
			for i := range 10 {
				w.send(a, "b", fmt.Sprint(i))
			}
			rings, err := filepath.Glob(w.dot("box", "b", "rings", "*"))
			require.NoError(w, err)
			require.Len(w, rings, 1)
			f, err := os.OpenFile(rings[0], os.O_RDWR, 0)
			require.NoError(w, err)
			_, err = f.WriteAt([]byte("rubbish!"), 4096) // where the first record begins
			require.NoError(w, err)
			require.NoError(w, f.Close())
			require.Equal(w, []string{"1", "2", "3", "4", "5", "6", "7", "8", "9"}, w.receive(b, 9))
			require.Equal(w, 1, told)
			require.Equal(w, map[string]int64{"": 1}, b.Stats().Corrupt)
			require.NoError(w, b.Disconnect(w.ctx, nil))
		})
	}
}
