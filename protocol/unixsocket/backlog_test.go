//go:build linux && !ipcmgr_fallback

package unixsocket

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// overrun listens at a path, accepts nothing, and has as many connections
// waiting as the kernel lets wait.
func overrun(t *testing.T, path string) {
	listener, err := newSocket()
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(listener) })
	require.NoError(t, unix.Bind(listener, &unix.SockaddrUnix{Name: path}))
	require.NoError(t, unix.Listen(listener, 0))
	for {
		fd, err := reach(path)
		t.Cleanup(func() { unix.Close(fd) })
		if err == unix.EAGAIN {
			return
		}
		require.NoError(t, err)
	}
}

// Who waits for a peer that accepts no connection holds up nobody who may not
// wait, and can be called off.
func TestFullBacklogIsNotWaitedForByTrySend(t *testing.T) {
	s := spawned(t)
	a, _ := joined(t, s, "a")
	foreignPID(t, s, "perl")
	overrun(t, filepath.Join(s.Route(), "perl"))
	ctx, stop := context.WithCancelCause(within(t))
	waits := make(chan error, 1)
	go func() {
		_, err := a.Deliver(ctx, "perl", frames("one"), true)
		waits <- err
	}()
	for bound := within(t); a.blocked.Load() == 0; runtime.Gosched() { // until it waits
		require.NoError(t, bound.Err())
	}
	_, err := a.Deliver(within(t), "perl", frames("two"), false)
	require.ErrorIs(t, err, protocol.ErrFull)
	enough := errors.New("enough")
	stop(enough)
	require.ErrorIs(t, <-waits, enough)
}

// A socket that somebody listens at, but accepts nothing, is no stale one.
func TestFullBacklogIsSomebody(t *testing.T) {
	s := spawned(t)
	overrun(t, filepath.Join(s.Route(), "b"))
	_, err := s.Connect(within(t), options("b", protocol.New, nil))
	require.ErrorContains(t, err, "somebody listens at")
}
