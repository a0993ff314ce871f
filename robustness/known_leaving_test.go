package robustness

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
)

var noDeadline time.Time

// Elsewhere, what is queued at disconnect vanishes without an error.
func TestQueuedAtDisconnectIsTold(t *testing.T) {
	over(t, everywhere, ipcmgr.Config{}, func(w *world) {
		a, b := w.connect("a"), w.connect("b")
		w.send(a, "b", "one", "two", "three")
		w.receive(b, 1)
		var unread *ipcmgr.UnreadError
		require.ErrorAs(w, b.Disconnect(w.ctx, nil), &unread)
		require.Equal(w, map[string]int64{"a": 2}, unread.From)
		audit, err := w.store.Audit(w.ctx)
		require.NoError(w, err)
		require.ErrorContains(w, audit.Err(), "dropped")
		err = a.Send(w.ctx, "b", "four")
		require.True(w, errors.Is(err, ipcmgr.ErrNoPeer) || errors.Is(err, ipcmgr.ErrPeerGone), err)
	})
}

// And a disconnect while others send is exact: each message that was accepted
// is handed over.
func TestDisconnectUnderFireIsExact(t *testing.T) {
	over(t, everywhere, ipcmgr.Config{}, func(w *world) {
		for range 5 {
			b := w.connect("b")
			var senders sync.WaitGroup
			accepted := make(chan int64, 4)
			started, fire := make(chan struct{}, 4), make(chan struct{}) // a mailbox is soon full
			for range 4 {
				a, err := w.store.ConnectAnonymous(w.ctx)
				require.NoError(w, err)
				senders.Go(func() {
					var n int64
					for a.Send(w.ctx, "b", "x") == nil {
						if n++; n == 20 {
							started <- struct{}{}
							<-fire
						}
					}
					accepted <- n
					a.Disconnect(w.ctx, nil)
				})
			}
			for range 4 {
				<-started
			}
			close(fire)
			var got int64
			require.NoError(w, b.Disconnect(w.ctx, func(*ipcmgr.Message) error { got++; return nil }))
			senders.Wait()
			for range 4 {
				got -= <-accepted
			}
			require.Zero(w, got, "handed over less accepted")
		}
	})
}

// Elsewhere, an orphan temporary file makes disconnect wait for ever.
func TestOrphanTemporaryFileHoldsNobodyUp(t *testing.T) {
	over(t, inDirectories, ipcmgr.Config{}, func(w *world) {
		a, b := w.connect("a"), w.connect("b")
		w.send(a, "b", "one")
		orphans := 0
		require.NoError(w, filepath.WalkDir(w.route(), func(path string, e os.DirEntry, err error) error {
			if err != nil || !e.IsDir() || e.Name() == "peers" || e.Name() == "procs" {
				return err
			}
			for _, name := range []string{"orphan.pend", ".orphan", "t1-2-3", "orphan.tmp"} {
				require.NoError(w, os.WriteFile(filepath.Join(path, name), []byte("half a mess"), 0o600))
				orphans++
			}
			return nil
		}))
		require.Greater(w, orphans, 20)
		w.send(a, "b", "two")
		require.Equal(w, []string{"one", "two"}, w.receive(b, 2))
		w.leave(b)
		w.leave(w.connect("b"))
	})
}

// Elsewhere, disconnect and shutdown sleep a second, or wait the full limit for
// a peer that is suspended or dead.
func TestNobodyWaitsForTheAbsent(t *testing.T) {
	over(t, everywhere, ipcmgr.Config{}, func(w *world) {
		quickly(w, func() {
			c := w.connect("c")
			w.send(c, "c", "to myself")
			w.receive(c, 1)
			w.leave(c)
		})
		if w.store.Features().Suspends {
			require.NoError(w, w.connect("suspended").Suspend(w.ctx, noDeadline))
			require.NoError(w, w.connect("overdue").Suspend(w.ctx, time.Now().Add(time.Hour)))
		}
		w.puppet("crashed").kill()
		quickly(w, func() {
			s, err := ipcmgr.Spawn(w.ctx, ipcmgr.Config{Protocol: ipcmgr.Names{w.protocol()}})
			require.NoError(w, err)
			require.NoError(w, s.Shutdown(w.ctx))
		})
		ctx, cancel := context.WithTimeout(w.ctx, stuck/2)
		defer cancel()
		err := w.store.Shutdown(ctx)
		require.False(w, errors.Is(err, context.DeadlineExceeded), err)
		require.NoError(w, ctx.Err(), "it waited until it might wait no longer")
	})
}

// Elsewhere, two peers that send before they read deadlock.
func TestBothMaySendBeforeTheyRead(t *testing.T) {
	over(t, everywhere, ipcmgr.Config{}, func(w *world) {
		a, b := w.connect("a"), w.puppet("b")
		const count = 500 // more than a socket holds
		sent := make(chan answer, 1)
		go func() { sent <- b.do(order{Op: "send", To: "a", N: count, As: long(1000)}) }()
		for i := range count {
			w.send(a, "b", long(1000)+string(rune('a'+i%26)))
		}
		require.Equal(w, answer{N: count}, <-sent)
		require.Equal(w, numbered(long(1000), count), w.receive(a, count))
		require.Len(w, b.do(order{Op: "receive", N: count}).Texts, count)
	})
}
