package ipctest_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/internal/trial"
	"github.com/ipcmgr/ipcmgr/ipctest"
)

// A test that fails leaves its traffic in a file, that of a killed worker too.
func TestRecord(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	for _, protocol := range trial.Viable("mem", "fsqueue", "unixsocket", "bbolt", "shm") {
		log := failing(t, func(t testing.TB) {
			ctx := context.Background()
			st := ipctest.Store(t, ipcmgr.Config{Protocol: ipcmgr.Names{protocol}})
			ipctest.Record(t, st)
			ipctest.Record(t, st) // once is enough
			echo.Start(t, st, "a")
			me := ipctest.Connect(t, st, "test")
			m := ipcmgr.NewMessage("built")
			m.ID, m.Headers = "my-id", map[string]string{"k": "v"}
			require.NoError(t, me.Send(ctx, "a", m))
			require.NoError(t, me.TrySend(ctx, "a", 2))
			_, err := me.SendBatch(ctx, "a", 3, 4)
			require.NoError(t, err)
			_, err = me.Broadcast(ctx, []byte{5})
			require.NoError(t, err)
			require.Error(t, me.Send(ctx, "nobody", make(chan int)))
			for range 5 {
				ipctest.Expect(t, me, "a", ipctest.Anything{})
			}
			ipctest.Kill(t, st, "a")
			t.Errorf("as asked")
		})
		where := regexp.MustCompile(`2[01] messages sent and received are in (\S+)`).FindStringSubmatch(log)
		require.NotNil(t, where, log)
		require.Contains(t, filepath.Base(where[1]), "TestRecord")
		data, err := os.ReadFile(where[1])
		require.NoError(t, err)
		counts := map[string]int{}
		var last time.Time
		for line := range strings.Lines(string(data)) {
			var e struct {
				Time                              time.Time
				What, Client, From, To, ID, Error string
				Headers                           map[string]string
				Content                           any
			}
			require.NoError(t, json.Unmarshal([]byte(line), &e))
			require.False(t, e.Time.Before(last))
			last = e.Time
			counts[e.Client+" "+e.What]++
			if e.ID == "my-id" {
				require.Equal(t, "v", e.Headers["k"])
			}
			if e.ID == "my-id" && e.What == "received" {
				require.Equal(t, "built", e.Content)
			}
			if e.To == "nobody" {
				require.NotEmpty(t, e.Error)
			}
		}
		counts["a sent"] = max(counts["a sent"], 5) // it may have been killed just after the last
		require.Equal(t, map[string]int{"test sent": 6, "test received": 5, "a received": 5, "a sent": 5}, counts)
	}
	left, err := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "ipctest*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

// One that does not leaves none.
func TestRecordOfSuccess(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	log, failed := attempt(t, func(t testing.TB) {
		st := ipctest.Store(t, ipcmgr.Config{Protocol: ipcmgr.Names{"mem"}})
		ipctest.Record(t, st)
		ipctest.Connect(t, st, "me")
	})
	require.False(t, failed, log)
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	require.NoError(t, err)
	require.Empty(t, left)
}
