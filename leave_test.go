package ipcmgr_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
)

func TestSuspend(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		ctx := testContext(t)
		a, b := connect(t, s, "a"), connect(t, s, "b", ipcmgr.Attrs(map[string]string{"role": "worker"}))
		if !s.Features().Suspends {
			err := b.Suspend(ctx, time.Time{})
			require.ErrorIs(t, err, errors.ErrUnsupported)
			require.ErrorContains(t, err, "Disconnect")
			send(t, a, "b", "it is still connected")
			require.Equal(t, []string{"it is still connected"}, receive(t, b, 1))
			return
		}
		send(t, a, "b", "one", "two", "three")
		require.Equal(t, []string{"one"}, receive(t, b, 1)) // prefetches the others
		until := time.Now().Add(time.Hour)
		require.NoError(t, b.Suspend(ctx, until))
		require.ErrorIs(t, b.Suspend(ctx, until), ipcmgr.ErrClosed)
		require.ErrorIs(t, b.Disconnect(ctx, nil), ipcmgr.ErrClosed)
		require.ErrorIs(t, b.Send(ctx, "a", 1), ipcmgr.ErrClosed)
		_, err := b.Receive(ctx)
		require.ErrorIs(t, err, ipcmgr.ErrClosed)

		p, err := s.Peer(ctx, "b")
		require.NoError(t, err)
		require.Equal(t, ipcmgr.Suspended, p.State)
		require.WithinDuration(t, until, p.Until, time.Millisecond)
		require.Equal(t, map[string]string{"role": "worker"}, p.Attrs)

		send(t, a, "b", "four")
		b, err = s.Reconnect(ctx, "b")
		require.NoError(t, err)
		require.Equal(t, map[string]string{"role": "worker"}, b.Attrs())
		require.EqualValues(t, 1, b.Stats().Read["a"])
		for _, want := range []string{"two", "three", "four"} {
			m, err := b.Receive(ctx)
			require.NoError(t, err)
			require.Equal(t, want, decode(t, m))
			require.False(t, m.Redelivered, "there was no crash")
		}
		require.NoError(t, b.Disconnect(ctx, nil))
		require.EqualValues(t, 4, b.Stats().Read["a"])
	})
}

func TestDisconnect(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		ctx := testContext(t)
		a, b := connect(t, s, "a"), connect(t, s, "b")
		send(t, a, "b", "one", "two", "three")
		require.Equal(t, []string{"one"}, receive(t, b, 1))
		err := b.Disconnect(ctx, nil)
		var unread *ipcmgr.UnreadError
		require.ErrorAs(t, err, &unread)
		require.Equal(t, map[string]int64{"a": 2}, unread.From)
		require.EqualValues(t, 2, unread.Total())
		require.ErrorContains(t, err, `2 from "a"`)
		require.ErrorIs(t, b.Disconnect(ctx, nil), ipcmgr.ErrClosed)
		require.ErrorIs(t, a.Send(ctx, "b", "x"), ipcmgr.ErrNoPeer)
		_, err = s.Peer(ctx, "b")
		require.ErrorIs(t, err, ipcmgr.ErrNoPeer)

		// With a handler: in order, and statistics go on.
		b = connect(t, s, "b")
		send(t, a, "b", "four", "five", "six", "seven")
		require.Equal(t, []string{"four"}, receive(t, b, 1))
		m, err := b.Receive(ctx)
		require.NoError(t, err)
		require.NoError(t, m.Requeue())
		var got []string
		require.NoError(t, b.Disconnect(ctx, func(m *ipcmgr.Message) error {
			got = append(got, decode(t, m))
			return nil
		}))
		require.Equal(t, []string{"five", "six", "seven"}, got)

		b = connect(t, s, "b")
		send(t, a, "b", "eight", "nine")
		broken := errors.New("broken")
		err = b.Disconnect(ctx, func(m *ipcmgr.Message) error { return broken })
		require.ErrorIs(t, err, broken)
		require.ErrorAs(t, err, &unread)
		require.EqualValues(t, 2, unread.Total())
		require.EqualValues(t, 5, b.Stats().Read["a"])
		require.EqualValues(t, 4, b.Stats().Dropped["a"])

		require.NoError(t, a.Disconnect(ctx, nil))
		audit, err := s.Audit(ctx)
		require.NoError(t, err)
		var failed *ipcmgr.AuditError
		require.ErrorAs(t, audit.Err(), &failed)
		require.Len(t, failed.Pairs, 1)
		require.Equal(t, ipcmgr.Pair{From: "a", To: "b", Sent: 9, Read: 5, Dropped: 4, Verdict: ipcmgr.Dropped}, failed.Pairs[0])
	})
}

// Under fire, what was sent is what was handed over.
func TestDisconnectUnderFire(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		ctx := testContext(t)
		var accepted atomic.Int64
		var handed int64
		senders := make([]ipcmgr.Client, 4)
		for n := range senders {
			senders[n] = connect(t, s, string(rune('a'+n)))
		}
		for range 5 {
			r := connect(t, s, "r")
			var wg sync.WaitGroup
			for _, c := range senders {
				wg.Go(func() {
					for {
						n, err := c.SendBatch(ctx, "r", "x", "y", "z")
						accepted.Add(int64(n))
						if err != nil {
							if !errors.Is(err, ipcmgr.ErrPeerGone) && !errors.Is(err, ipcmgr.ErrNoPeer) {
								t.Error(err)
							}
							return
						}
					}
				})
			}
			handed += int64(len(receive(t, r, 20)))
			require.NoError(t, r.Disconnect(ctx, func(*ipcmgr.Message) error { handed++; return nil }))
			wg.Wait()
			require.Equal(t, accepted.Load(), handed)
		}
	})
}

// Whoever leaves ends the calls under way.
func TestLeaveEndsCalls(t *testing.T) {
	eachConfig(t, ipcmgr.Config{MaxPending: 1}, func(t *testing.T, s *ipcmgr.Store) {
		ctx := testContext(t)
		a, b := connect(t, s, "a"), connect(t, s, "b")
		for a.TrySend(ctx, "b", "fill") == nil {
		}
		errs := make(chan error)
		go func() { errs <- a.Send(ctx, "b", "waits for room") }()
		go func() { _, err := a.Receive(ctx); errs <- err }()
		go func() {
			for _, err := range a.Messages(ctx) {
				errs <- err
			}
		}()
		require.NoError(t, a.Disconnect(ctx, nil))
		for range 3 {
			require.ErrorIs(t, <-errs, ipcmgr.ErrClosed)
		}
		for {
			if ms, err := b.Poll(ctx, 1); err != nil || len(ms) == 0 {
				require.NoError(t, err)
				break
			}
		}
		require.NoError(t, b.Disconnect(ctx, nil))
		require.NoError(t, s.Shutdown(ctx))
	})
}

func TestRedeliveryAfterACrash(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		ctx := testContext(t)
		a := connect(t, s, "a")
		v := newVictim(t, s, "b")
		send(t, a, "b", "one", "two", "three")
		require.Equal(t, []string{"one", "two"}, v.receive(2))
		v.send("a", "bye")
		v.crash()
		require.Equal(t, []string{"bye"}, receive(t, a, 1))
		b, err := s.Reconnect(ctx, "b")
		require.NoError(t, err)
		if !s.Features().Redelivers {
			empty(t, b)
			return
		}
		send(t, a, "b", "four")
		var got []string
		marked := map[string]bool{}
		for m, err := range b.Messages(ctx) {
			require.NoError(t, err)
			got = append(got, decode(t, m))
			marked[decode(t, m)] = m.Redelivered
			if decode(t, m) == "four" {
				require.NoError(t, m.Ack(ctx))
				break
			}
		}
		// The acknowledgement of one may lag; two was handed out; three may
		// have been prefetched; four came after the crash.
		require.Subset(t, []string{"one", "two", "three", "four"}, got)
		require.Subset(t, got, []string{"two", "three", "four"})
		require.True(t, marked["two"])
		require.False(t, marked["four"])
	})
}

// Who suspends leaves, also when the context has ended: the client could not be
// used any more, and nobody could take its mailbox up.
func TestSuspendWhenTheContextHasEnded(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		if !s.Features().Suspends {
			return // see TestSuspend
		}
		a := connect(t, s, "a")
		send(t, a, "a", "one", "two")
		require.Equal(t, []string{"one"}, receive(t, a, 1))
		ended, cancel := context.WithCancelCause(testContext(t))
		enough := errors.New("enough")
		cancel(enough)
		require.ErrorIs(t, a.Suspend(ended, time.Time{}), enough, "one could not be acknowledged")
		a, err := s.Reconnect(testContext(t), "a")
		require.NoError(t, err)
		require.Equal(t, []string{"one", "two"}, receive(t, a, 2))
		empty(t, a)
		require.NoError(t, a.Suspend(ended, time.Time{}), "there was nothing to acknowledge")
		p, err := s.Peer(testContext(t), "a")
		require.NoError(t, err)
		require.Equal(t, ipcmgr.Suspended, p.State)
	})
}

// What was put back comes after a suspension in the order in which it would
// have come before it.
func TestOrderOfWhatWasPutBack(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		if !s.Features().Suspends {
			return // see TestSuspend
		}
		ctx := testContext(t)
		a := connect(t, s, "a", ipcmgr.ManualAck())
		send(t, a, "a", "one", "two", "three", "four")
		var ms []*ipcmgr.Message
		for range 3 {
			m, err := a.Receive(ctx)
			require.NoError(t, err)
			ms = append(ms, m)
		}
		for _, n := range []int{2, 1, 0} {
			require.NoError(t, ms[n].Requeue())
		}
		require.NoError(t, a.Suspend(ctx, time.Time{}))
		a, err := s.Reconnect(ctx, "a")
		require.NoError(t, err)
		require.Equal(t, []string{"one", "two", "three", "four"}, receive(t, a, 4))
	})
}

// Every verb of a client that has left says so, also where there is nothing to
// do.
func TestClientThatHasLeft(t *testing.T) {
	s := spawn(t, ipcmgr.Config{Protocol: ipcmgr.Names{"mem"}})
	ctx := testContext(t)
	c := connect(t, s, "c")
	require.NoError(t, c.Disconnect(ctx, nil))
	for name, call := range map[string]func() error{
		"Send":       func() error { return c.Send(ctx, "c", 1) },
		"TrySend":    func() error { return c.TrySend(ctx, "c", 1) },
		"SendBatch":  func() error { _, err := c.SendBatch(ctx, "c"); return err },
		"Broadcast":  func() error { _, err := c.Broadcast(ctx, 1); return err },
		"Receive":    func() error { _, err := c.Receive(ctx); return err },
		"Poll":       func() error { _, err := c.Poll(ctx, 1); return err },
		"Next":       func() error { _, err := c.Next(ctx); return err },
		"TryNext":    func() error { _, err := c.TryNext(ctx); return err },
		"SetAttrs":   func() error { return c.SetAttrs(ctx, nil) },
		"WriteStats": func() error { return c.WriteStats(ctx) },
		"RequeueAll": c.RequeueAll,
		"Suspend":    func() error { return c.Suspend(ctx, time.Time{}) },
		"Disconnect": func() error { return c.Disconnect(ctx, nil) },
	} {
		require.ErrorIs(t, call(), ipcmgr.ErrClosed, name)
	}
	other, err := ipcmgr.Open(ctx, s.Info().String())
	require.NoError(t, err)
	require.NoError(t, other.Close())
	_, err = other.Connect(ctx, "d")
	require.ErrorIs(t, err, ipcmgr.ErrClosed)
}
