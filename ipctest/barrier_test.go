package ipctest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/ipctest"
)

// racer reports before each of two barriers, and after them.
var racer = ipctest.Register("racer", func(ctx context.Context, c ipcmgr.Client) error {
	for _, barrier := range []string{"first", "second"} {
		err := errors.Join(c.Send(ctx, "test", "at "+barrier), ipctest.Reach(ctx, c, barrier))
		if err != nil {
			return err
		}
	}
	return c.Send(ctx, "test", "done")
})

// Nobody passes a barrier before all have come; everybody passes it, also when
// some leave at once.
func TestBarrier(t *testing.T) {
	ipctest.Each(t, func(t *testing.T, st *ipcmgr.Store) {
		me := ipctest.Connect(t, st, "test")
		all := func(text string) (list []ipctest.Arrival) {
			for _, id := range []string{"a", "b", "c"} {
				list = append(list, ipctest.From(id, text))
			}
			return list
		}
		racer.Start(t, st, "a", "b", "c")
		ipctest.ExpectExactly(t, me, all("at first")...)
		ipctest.Barrier(t, me, "first", "a", "b", "c")
		ipctest.ExpectExactly(t, me, all("at second")...)
		ipctest.Barrier(t, me, "second", "a", "b", "c")
		ipctest.ExpectExactly(t, me, all("done")...)
		for _, id := range []string{"a", "b", "c"} {
			require.NoError(t, ipctest.ExpectExit(t, st, id))
		}
		log := failing(t, func(t testing.TB) { ipctest.Barrier(t, me, "first", "a") })
		require.Contains(t, log, `the barrier "first" is open already`)
	})
}

// A worker that was killed at a barrier, and is back, is not at it.
func TestBarrierForgetsTheKilled(t *testing.T) {
	st := ipctest.Store(t, ipcmgr.Config{Protocol: ipcmgr.Names{"fsqueue"}})
	me := ipctest.Connect(t, st, "test")
	racer.Start(t, st, "a")
	require.NoError(t, st.WaitUntil(ipctest.Context(t), func(peers []ipcmgr.Peer) bool { return peers[0].Attrs["ipctest.reached.first"] != "" }))
	ipctest.Kill(t, st, "a")
	echo.Start(t, st, "a")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	log := failing(t, func(t testing.TB) { ipctest.Barrier(withContext{t, ctx}, me, "first", "a") })
	require.Contains(t, log, `was not reached by a`)
	ipctest.ExpectExactly(t, me, ipctest.From("a", "at first"))
}
