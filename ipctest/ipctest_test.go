package ipctest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/internal/trial"
	"github.com/ipcmgr/ipcmgr/ipctest"
	_ "github.com/ipcmgr/ipcmgr/protocol/all"
	_ "github.com/ipcmgr/ipcmgr/serializer/all"
)

func TestMain(m *testing.M) { ipctest.Main(m) }

// The workers of the tests.
var (
	echo = ipctest.Register("echo", func(ctx context.Context, c ipcmgr.Client) error {
		return ipcmgr.Handle(ctx, c, func(ctx context.Context, m *ipcmgr.Message, v any) error {
			if m.Redelivered { // it was answered before the crash
				return nil
			}
			return c.Send(ctx, m.From, fmt.Sprint(c.ID(), " ", v))
		})
	})
	faulty = ipctest.Register("faulty", func(ctx context.Context, c ipcmgr.Client) error {
		return ipcmgr.Handle(ctx, c, func(ctx context.Context, m *ipcmgr.Message, how string) error {
			switch {
			case m.Redelivered:
				return nil
			case how == "panic":
				panic("as asked")
			}
			return errors.New("failed as asked")
		})
	})
	deaf = ipctest.Register("deaf", func(ctx context.Context, c ipcmgr.Client) error {
		<-ctx.Done()
		return nil
	})
)

// Three workers, one of which is killed and comes back.
func TestThreeWorkers(t *testing.T) {
	ipctest.Each(t, func(t *testing.T, st *ipcmgr.Store) {
		ctx := ipctest.Context(t)
		echo.Start(t, st, "a", "b", "c")
		me := ipctest.Connect(t, st, "test")
		greet := func(ids ...string) {
			for _, id := range ids {
				require.NoError(t, me.Send(ctx, id, "hi"))
			}
		}
		greet("a", "b", "c")
		for _, id := range []string{"c", "a", "b"} {
			m := ipctest.Expect(t, me, id, id+" hi")
			require.Equal(t, id, m.From)
		}
		ipctest.Kill(t, st, "b")
		peer, err := st.Peer(ctx, "b")
		require.NoError(t, err)
		require.Equal(t, ipcmgr.Crashed, peer.State)
		if st.Features().Suspends {
			greet("b")
		}
		echo.Start(t, st, "b")
		if !st.Features().Suspends {
			greet("b")
		}
		ipctest.ExpectExactly(t, me, ipctest.From("b", "b hi"))
		ipctest.Stop(t, st, "a", "b")
		_, err = st.Peer(ctx, "a")
		require.ErrorIs(t, err, ipcmgr.ErrNoPeer)
	})
}

// What Kill kills may also be a process that nobody registered, but not the
// test's own.
func TestKillOfOthers(t *testing.T) {
	ipctest.Each(t, func(t *testing.T, st *ipcmgr.Store) {
		ipctest.Connect(t, st, "mine")
		if st.Info().Protocol == "mem" { // where a client can crash alone
			return
		}
		log := failing(t, func(t testing.TB) { ipctest.Kill(t, st, "mine") })
		require.Contains(t, log, "the one that runs the test")
		log = failing(t, func(t testing.TB) { ipctest.Kill(t, st, "nobody") })
		require.Contains(t, log, "no such peer")
	})
}

func TestExpectExit(t *testing.T) {
	ipctest.Each(t, func(t *testing.T, st *ipcmgr.Store) {
		ctx := ipctest.Context(t)
		faulty.Start(t, st, "w")
		me := ipctest.Connect(t, st, "test")
		require.NoError(t, me.Send(ctx, "w", "panic"))
		require.ErrorContains(t, ipctest.ExpectExit(t, st, "w"), "panic: as asked")
		faulty.Start(t, st, "w")
		ipctest.Stop(t, st, "w")
		require.NoError(t, ipctest.ExpectExit(t, st, "w"))
	})
}

// What a worker leaves that failed as expected need not be read by another.
func TestExpectedFailureKeepsItsMailbox(t *testing.T) {
	ipctest.Each(t, func(t *testing.T, st *ipcmgr.Store) {
		faulty.Start(t, st, "w")
		me := ipctest.Connect(t, st, "test")
		require.NoError(t, me.Send(ipctest.Context(t), "w", "fail"))
		require.ErrorContains(t, ipctest.ExpectExit(t, st, "w"), "failed as asked")
	})
}

// A crash that nobody asked for fails the test, and ends what waits at once.
func TestUnaskedCrash(t *testing.T) {
	for _, protocol := range trial.Viable("mem", "fsqueue", "unixsocket", "bbolt", "shm") {
		config := ipcmgr.Config{Protocol: ipcmgr.Names{protocol}}
		log := failing(t, func(t testing.TB) {
			st := ipctest.Store(t, config)
			faulty.Start(t, st, "w")
			me := ipctest.Connect(t, st, "test")
			require.NoError(t, me.Send(context.Background(), "w", "fail"))
			ipctest.Expect(t, me, "w", "never")
		})
		require.Contains(t, log, `worker "w" has ended, which nobody asked for`)
		require.Contains(t, log, "failed as asked")
		log = failing(t, func(t testing.TB) {
			st := ipctest.Store(t, config)
			faulty.Start(t, st, "w")
			me := ipctest.Connect(t, st, "test")
			require.NoError(t, me.Send(context.Background(), "w", "fail"))
			ipctest.Barrier(t, me, "never reached", "w")
		})
		require.Contains(t, log, `barrier "never reached" was not reached by w`)
		require.Contains(t, log, "failed as asked")
	}
}

// A worker that does not receive ends with its context, in the half of the time
// that is left when it was asked in vain. Time is virtual.
func TestDeafWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := ipctest.Store(t, ipcmgr.Config{Protocol: ipcmgr.Names{"mem"}})
		echo.Start(t, st, "b")
		deaf.Start(t, st, "a")
	})
}

// So does one in a process of its own. Where nobody can ask it, nothing is
// waited for in vain.
func TestDeafWorkerProcess(t *testing.T) {
	st := ipctest.Store(t, ipcmgr.Config{Protocol: ipcmgr.Names{"fsqueue"}})
	handle, err := ipcmgr.Open(ipctest.Context(t), st.Info().String())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, handle.Close()) })
	deaf.Start(t, handle, "a")
}

// Tests in parallel share the check for leaks.
func TestParallel(t *testing.T) {
	for _, protocol := range trial.Viable("mem", "fsqueue", "bbolt", "unixsocket", "shm") {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			st := ipctest.Store(t, ipcmgr.Config{Protocol: ipcmgr.Names{protocol}})
			echo.Start(t, st, "a")
			me := ipctest.Connect(t, st, "test")
			require.NoError(t, me.Send(ipctest.Context(t), "a", 1))
			ipctest.Expect(t, me, "a", "a 1")
		})
	}
}

// Everything that a store leaves behind is told.
func TestStoreTells(t *testing.T) {
	config := ipcmgr.Config{Protocol: ipcmgr.Names{"fsqueue"}}
	log := failing(t, func(t testing.TB) {
		st := ipctest.Store(t, config)
		me := ipctest.Connect(t, st, "test")
		require.NoError(t, me.Send(context.Background(), "test", map[string]int{"n": 1}))
	})
	require.Contains(t, log, `"test" was left with unread messages:`+"\n\tfrom \"test\": {\"n\":1}")

	log = failing(t, func(t testing.TB) {
		st := ipctest.Store(t, config)
		me, err := st.Connect(context.Background(), "test")
		require.NoError(t, err)
		require.NoError(t, me.Send(context.Background(), "test", "lost"))
	})
	require.Contains(t, log, `audit: "test" to "test": dropped: 1 sent, 0 read, 1 dropped`)

	log = failing(t, func(t testing.TB) { ipctest.Store(t, ipcmgr.Config{Protocol: ipcmgr.Names{"none"}}) })
	require.Contains(t, log, `"none"`)
}

// What a kill explains is no loss; what it does not is.
func TestAuditAfterAKill(t *testing.T) {
	log := failing(t, func(t testing.TB) {
		st := ipctest.Store(t, ipcmgr.Config{Protocol: ipcmgr.Names{"fsqueue"}})
		echo.Start(t, st, "a")
		me := ipctest.Connect(t, st, "test")
		require.NoError(t, me.Send(context.Background(), "a", "x"))
		ipctest.Expect(t, me, "a", "a x")
		ipctest.Kill(t, st, "a")
		other, err := st.Connect(context.Background(), "other")
		require.NoError(t, err)
		require.NoError(t, other.Send(context.Background(), "other", "lost"))
	})
	require.Contains(t, log, `"other" to "other": dropped`)
	require.NotContains(t, log, `"a"`)
}

// A worker that cannot start says why at once.
func TestStartFails(t *testing.T) {
	ipctest.Each(t, func(t *testing.T, st *ipcmgr.Store) {
		echo.Start(t, st, "a")
		log := failing(t, func(t testing.TB) { echo.Start(t, st, "a") })
		require.Contains(t, log, "active")
	})
}

// A test may shut its store down.
func TestShutDownByTheTest(t *testing.T) {
	ipctest.Each(t, func(t *testing.T, st *ipcmgr.Store) {
		echo.Start(t, st, "a")
		require.NoError(t, st.Shutdown(ipctest.Context(t)))
		require.NoError(t, ipctest.ExpectExit(t, st, "a"))
	})
}
