package ipcmgr_test

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/internal/trial"
)

func TestRun(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		failure := errors.New("the program's own")
		cfg := ipcmgr.Config{Protocol: ipcmgr.Names{s.Info().Protocol}, Serializer: s.Info().Serializer}
		var info string
		err := ipcmgr.Run(testContext(t), cfg, func(ctx context.Context, s *ipcmgr.Store) error {
			info = s.Info().String()
			require.True(t, s.Owned())
			a := connect(t, s, "a")
			send(t, a, "a", "unread")
			return failure
		})
		require.ErrorIs(t, err, failure)
		require.ErrorAs(t, err, new(*ipcmgr.AuditError))
		_, err = ipcmgr.Open(testContext(t), info)
		require.ErrorIs(t, err, ipcmgr.ErrNoStore)
		require.NoError(t, ipcmgr.Run(testContext(t), cfg, func(context.Context, *ipcmgr.Store) error { return nil }))
	})
}

func TestShutdown(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		ctx := testContext(t)
		a := connect(t, s, "a")
		connect(t, s, "b")
		send(t, a, "b", "never read")
		other, err := ipcmgr.Open(ctx, s.Info().String())
		require.NoError(t, err)
		require.ErrorIs(t, other.Shutdown(ctx), ipcmgr.ErrNotOwner)
		for _, verb := range []func(context.Context) error{other.End, other.Signal, other.Terminate, other.Unspawn, other.Detach} {
			require.ErrorIs(t, verb(ctx), ipcmgr.ErrNotOwner)
		}
		require.NoError(t, s.End(ctx))
		_, err = other.Connect(ctx, "late")
		require.ErrorIs(t, err, ipcmgr.ErrEnding)
		err = s.Shutdown(ctx)
		var failed *ipcmgr.AuditError
		require.ErrorAs(t, err, &failed)
		require.Equal(t, ipcmgr.Dropped, failed.Pairs[0].Verdict)
		require.EqualValues(t, 1, failed.Pairs[0].Dropped)
		require.ErrorIs(t, a.Send(ctx, "b", 1), ipcmgr.ErrClosed)
		_, err = other.Peers(ctx)
		require.ErrorIs(t, err, ipcmgr.ErrNoStore)
		require.NoError(t, other.Close())
		require.NoError(t, s.Close())
		require.ErrorIs(t, s.Shutdown(ctx), ipcmgr.ErrNotOwner)
	})
}

// The owner's Shutdown ends a client in another process, and waits for neither
// the suspended nor the crashed.
func TestShutdownOfOthers(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		ctx := testContext(t)
		v, w := newVictim(t, s, "v"), newVictim(t, s, "w")
		v.crash()
		if s.Features().Suspends {
			require.NoError(t, connect(t, s, "x").Suspend(ctx, time.Time{}))
		}
		if w.local != nil {
			require.NoError(t, s.Shutdown(ctx))
			return
		}
		// w does not listen: Wait ends with the context, and names it.
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		err := s.Wait(short)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, `"w" (pid `)
		require.NotContains(t, err.Error(), "v (pid")
		w.crash()
		require.NoError(t, s.Wait(ctx))
		require.NoError(t, s.Shutdown(ctx))
	})
}

// A shutdown that somebody holds up ends with its context, and removes the
// store all the same.
func TestShutdownIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, a := virtual(t)
		require.NoError(t, a.Send(t.Context(), "a", "unread"))
		start := time.Now()
		stuck := make(chan struct{})
		go func() { // a client that does not come back from its handler
			_ = a.Disconnect(t.Context(), func(*ipcmgr.Message) error { <-stuck; return nil })
		}()
		synctest.Wait()
		err := s.Close()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, `"a" (pid `)
		require.Equal(t, 10*time.Second, time.Since(start).Truncate(time.Second))
		_, err = ipcmgr.Open(t.Context(), s.Info().String())
		require.ErrorIs(t, err, ipcmgr.ErrNoStore)
		close(stuck)
		synctest.Wait()
	})
}

// The configured signal reaches each other process once, before the request to
// terminate.
func TestSignal(t *testing.T) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	eachConfig(t, ipcmgr.Config{Signal: "HUP"}, func(t *testing.T, s *ipcmgr.Store) {
		ctx := testContext(t)
		a := connect(t, s, "a")
		v := newVictim(t, s, "v")
		if v.local != nil {
			return
		}
		require.NoError(t, s.Signal(ctx))
		require.Error(t, v.cmd.Wait(), "it dies of it")
		require.Equal(t, "signal: hangup", v.cmd.ProcessState.String())
		require.NoError(t, a.Disconnect(ctx, nil))
		require.NoError(t, s.Wait(ctx), "the dead is not waited for")
	})
	require.Empty(t, hup, "the owner does not signal itself")
}

func TestRoutes(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		ctx := testContext(t)
		p := s.Info().Protocol
		route := filepath.Join(trial.Place(t, p), "a store%é")
		if p == "mem" {
			route = "a store%é/" + t.Name()
		}
		cfg := ipcmgr.Config{Protocol: ipcmgr.Names{p}, Serializer: s.Info().Serializer, Route: route}
		_, err := ipcmgr.OpenConfig(ctx, cfg)
		require.ErrorIs(t, err, ipcmgr.ErrNoStore)

		first, err := ipcmgr.Adopt(ctx, cfg) // there is none: spawned
		require.NoError(t, err)
		require.Equal(t, route, first.Info().Route)
		require.Equal(t, s.Features().Syncs, first.Sync(), "a store with a route of its own syncs where it can")
		_, err = ipcmgr.Spawn(ctx, cfg)
		require.ErrorIs(t, err, ipcmgr.ErrStoreExists)
		_, err = ipcmgr.Adopt(ctx, cfg)
		require.ErrorIs(t, err, ipcmgr.ErrOwned)
		a := connect(t, first, "a")
		if !s.Features().Suspends {
			require.NoError(t, a.Disconnect(ctx, nil))
		} else {
			send(t, a, "a", "kept")
			require.NoError(t, a.Suspend(ctx, time.Time{}))
		}
		require.NoError(t, first.Detach(ctx))
		require.False(t, first.Owned())
		require.NoError(t, first.Close())

		second, err := ipcmgr.Adopt(ctx, cfg)
		require.NoError(t, err)
		require.True(t, second.Owned())
		opened, err := ipcmgr.Open(ctx, second.Info().String())
		require.NoError(t, err)
		require.False(t, opened.Owned())
		if s.Features().Suspends {
			b, err := opened.Reconnect(ctx, "a")
			require.NoError(t, err)
			require.Equal(t, []string{"kept"}, receive(t, b, 1))
			require.NoError(t, b.Disconnect(ctx, nil))
		}
		require.NoError(t, opened.Seize(ctx))
		require.True(t, opened.Owned())
		require.False(t, second.Owned())
		require.NoError(t, second.Close())
		require.NoError(t, opened.Shutdown(ctx))
		_, err = os.Stat(route)
		require.ErrorIs(t, err, os.ErrNotExist)

		other := map[string]string{"json": "msgpack", "msgpack": "json"}[s.Info().Serializer]
		wrong := s.Info()
		wrong.Serializer = other
		_, err = ipcmgr.Open(ctx, wrong.String())
		require.ErrorContains(t, err, "not "+other)
		require.ErrorContains(t, s.Detach(ctx), "temporary")
	})
}

func TestAdoptNeedsARoute(t *testing.T) {
	_, err := ipcmgr.Adopt(t.Context(), ipcmgr.Config{})
	require.ErrorContains(t, err, "route")
}

func TestOpenFromTheEnvironment(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		t.Setenv(ipcmgr.EnvStore, "")
		_, err := ipcmgr.Open(testContext(t), "")
		require.ErrorContains(t, err, ipcmgr.EnvStore)
		t.Setenv(ipcmgr.EnvStore, s.Info().String())
		o, err := ipcmgr.Open(testContext(t), "")
		require.NoError(t, err)
		require.Equal(t, s.Info(), o.Info())
		require.NoError(t, o.Close())
	})
}

// A name that nobody can mistake for another is in every error.
func TestErrorsNameTheThing(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		a := connect(t, s, "a")
		err := a.Send(testContext(t), "nobody", 1)
		var e *ipcmgr.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, ipcmgr.Error{Op: "send", Store: s.Info().Redacted(), ID: "a", Peer: "nobody", Err: e.Err}, *e)
		require.True(t, strings.HasPrefix(err.Error(), `send as "a" to "nobody": `), err.Error())
	})
}

// Adopt of a route that holds another protocol's store says so. It neither
// spawns nor opens there, however often it tries.
func TestAdoptAnotherProtocolsStore(t *testing.T) {
	for _, there := range protocols[1:] { // mem has no directory
		for _, other := range protocols[1:] {
			if other == there {
				continue
			}
			ctx := testContext(t)
			cfg := ipcmgr.Config{Protocol: ipcmgr.Names{there}, Serializer: "json", Route: route(t, there)}
			s, err := ipcmgr.Spawn(ctx, cfg)
			require.NoError(t, err)
			cfg.Protocol = ipcmgr.Names{other}
			_, err = ipcmgr.Adopt(ctx, cfg)
			require.ErrorIs(t, err, ipcmgr.ErrStoreExists, "%s at a store of %s", other, there)
			require.NoError(t, s.Close())
		}
	}
}

// route names a directory that a store of the protocol can make.
func route(t *testing.T, protocol string) string { return filepath.Join(trial.Place(t, protocol), "s") }

// A mailbox that is full holds up a shutdown neither when its client is one of
// this process, nor when it is not there any more.
func TestShutdownWhenMailboxesAreFull(t *testing.T) {
	eachConfig(t, ipcmgr.Config{MaxPending: 1}, func(t *testing.T, s *ipcmgr.Store) {
		a := connect(t, s, "a")
		connect(t, s, "full")
		v := newVictim(t, s, "v")
		for _, id := range []string{"full", "v"} {
			for a.TrySend(testContext(t), id, "x") == nil {
			}
		}
		told := make(chan error)
		go func() { told <- s.Terminate(testContext(t)) }()
		v.crash()
		v = newVictim(t, s, "v2")
		v.crash()
		done := make(chan error)
		go func() { done <- s.Shutdown(testContext(t)) }()
		err := <-done
		if err := <-told; !errors.Is(err, ipcmgr.ErrClosed) && err != nil { // the shutdown went on before it, or over it
			require.ErrorIs(t, err, ipcmgr.ErrNotOwner)
		}
		require.NotErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorAs(t, err, new(*ipcmgr.AuditError))
	})
}

// Whose owner was killed while it shut the store down leaves one that takes no
// more clients; who adopts it can still shut it down.
func TestShutdownOfAStoreThatIsEnding(t *testing.T) {
	for _, p := range protocols {
		t.Run(p, func(t *testing.T) {
			ctx := testContext(t)
			cfg := ipcmgr.Config{Protocol: ipcmgr.Names{p}, Serializer: "json", Route: route(t, p)}
			first, err := ipcmgr.Spawn(ctx, cfg)
			require.NoError(t, err)
			require.NoError(t, first.End(ctx))
			require.NoError(t, first.Detach(ctx))
			require.NoError(t, first.Close())
			second, err := ipcmgr.Adopt(ctx, cfg)
			require.NoError(t, err)
			require.NoError(t, second.Shutdown(ctx))
		})
	}
}

// The environment may hold an info in Perl's form, as any other.
func TestOpenPerlsInfoFromTheEnvironment(t *testing.T) {
	t.Setenv(ipcmgr.EnvStore, `["IPC::Manager::Client::MessageFiles","IPC::Manager::Serializer::JSON","`+t.TempDir()+`"]`)
	s, err := ipcmgr.Open(testContext(t), "")
	require.NoError(t, err)
	require.NoError(t, s.Close())
}
