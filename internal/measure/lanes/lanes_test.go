package lanes_test

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/internal/measure"
	"github.com/ipcmgr/ipcmgr/internal/measure/lanes"
	"github.com/ipcmgr/ipcmgr/internal/trial"
	_ "github.com/ipcmgr/ipcmgr/protocol/all"
	_ "github.com/ipcmgr/ipcmgr/serializer/all"
)

const playEnv = "IPCMGR_LANES_PLAY"

func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	if os.Getenv(playEnv) != "" {
		if err := measure.Play(lanes.Find, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestNames(t *testing.T) {
	for _, name := range []string{"fsqueue+json", "bbolt+msgpack sync", "unixsocket+json 7 idle", "bbolt+json sync 12 idle", measure.RawUnix().Name} {
		l, err := lanes.Find(name)
		require.NoError(t, err)
		require.Equal(t, name, l.Name)
	}
	for _, name := range []string{"", "fsqueue", "frob+json", "fsqueue+json idle", "fsqueue+json  sync", "fsqueue+json 0 idle", "fsqueue+json sync x"} {
		_, err := lanes.Find(name)
		require.Error(t, err, name)
	}
}

// What keeps messages in memory only is measured there, wherever the others are.
func TestMemory(t *testing.T) {
	for _, proto := range trial.Viable("fsqueue", "unixsocket", "bbolt", "shm") {
		l, err := lanes.Find(proto + "+json")
		require.NoError(t, err)
		require.Equal(t, proto == "shm", l.Memory, proto)
	}
	for range trial.Viable("shm") {
		dir := t.TempDir()
		results, err := plan(dir, "shm+json").Run(t.Context())
		require.NoError(t, err)
		require.Equal(t, "memory: outlives processes", results[0].Durable)
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, left)
	}
}

// plan is a small measurement of one lane.
func plan(dir, lane string) *measure.Plan {
	return &measure.Plan{
		Tasks: []measure.Task{{
			Row:    measure.Row{Lane: lane, Size: 300, Dir: dir},
			Shapes: []measure.Shape{measure.Send, measure.Batch, measure.Crowd, measure.Trip},
		}},
		Rounds: 1, Messages: 150, Find: lanes.Find,
		Command: func() *exec.Cmd {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), playEnv+"=1")
			return cmd
		},
	}
}

// Every kind of store moves messages in every shape, beside idle clients too,
// and its audit agrees.
func TestStores(t *testing.T) {
	for _, proto := range trial.Viable("fsqueue", "unixsocket", "bbolt", "shm") {
		stores, err := lanes.Stores(proto, "msgpack")
		require.NoError(t, err)
		for _, s := range append(stores, lanes.Store{Protocol: proto, Serializer: "json", Idle: 3}) {
			t.Run(s.Name(), func(t *testing.T) {
				dir, err := os.MkdirTemp("", "b") // short, to leave room for a socket's name
				require.NoError(t, err)
				defer os.RemoveAll(dir)
				results, err := plan(dir, s.Name()).Run(t.Context())
				require.NoError(t, err)
				require.Len(t, results[0].Figures, 4)
				left, err := os.ReadDir(dir)
				require.NoError(t, err)
				require.Empty(t, left)
			})
		}
	}
}
