package ipctest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/ipctest"
)

// takers are the ways to receive until somebody asks to terminate.
var takers = map[string]func(ctx context.Context, c ipcmgr.Client, got func(*ipcmgr.Message)) error{
	"Messages": func(ctx context.Context, c ipcmgr.Client, got func(*ipcmgr.Message)) error {
		for m, err := range c.Messages(ctx) {
			if err != nil {
				return err
			}
			got(m)
		}
		return nil
	},
	"Receive": func(ctx context.Context, c ipcmgr.Client, got func(*ipcmgr.Message)) error {
		for {
			m, err := c.Receive(ctx)
			if errors.Is(err, ipcmgr.ErrTerminated) {
				_, err := c.Poll(ctx, 1) // acknowledges the last
				return err
			}
			if err != nil {
				return err
			}
			got(m)
		}
	},
	"Poll": func(ctx context.Context, c ipcmgr.Client, got func(*ipcmgr.Message)) error {
		for {
			ms, err := c.Poll(ctx, 3)
			if errors.Is(err, ipcmgr.ErrTerminated) {
				return nil
			}
			if err != nil {
				return err
			}
			for _, m := range ms {
				got(m)
			}
		}
	},
	"Next": func(ctx context.Context, c ipcmgr.Client, got func(*ipcmgr.Message)) error {
		for {
			m, err := c.Next(ctx)
			if errors.Is(err, ipcmgr.ErrTerminated) {
				return nil
			}
			if err != nil {
				return err
			}
			got(m)
			if err := m.Ack(ctx); err != nil {
				return err
			}
		}
	},
	"TryNext": func(ctx context.Context, c ipcmgr.Client, got func(*ipcmgr.Message)) error {
		for {
			m, err := c.TryNext(ctx)
			if errors.Is(err, ipcmgr.ErrTerminated) {
				return nil
			}
			if err != nil {
				return err
			}
			if m == nil {
				continue
			}
			got(m)
			if err := m.Ack(ctx); err != nil {
				return err
			}
		}
	},
}

// Whatever the faults and the way to receive: each sender's messages come in
// order, all of them, repeated ones marked, and the end comes after them.
func TestFaultsLoseNothing(t *testing.T) {
	for how, take := range takers {
		for name, faults := range map[string]ipctest.Faults{
			"none":      {},
			"duplicate": {Duplicate: 3},
			"shuffle":   {Shuffle: true, Seed: 5},
			"all":       {Duplicate: 2, Shuffle: true, Delay: time.Microsecond},
		} {
			t.Run(how+"/"+name, func(t *testing.T) {
				st := ipctest.Store(t, ipcmgr.Config{Protocol: ipcmgr.Names{"mem"}})
				ctx := ipctest.Context(t)
				const senders, each = 3, 50
				me := ipctest.Inject(ipctest.Connect(t, st, "me"), faults)
				for s := range senders {
					c := ipctest.Connect(t, st, fmt.Sprint("s", s))
					for n := range each {
						require.NoError(t, c.Send(ctx, "me", n))
					}
				}
				require.NoError(t, st.TerminatePeer(ctx, "me"))
				fresh := map[string]int{}
				again, turns, last := 0, 0, ""
				require.NoError(t, take(ctx, me, func(m *ipcmgr.Message) {
					var n int
					require.NoError(t, m.Decode(&n))
					if m.Redelivered {
						again++
						require.Less(t, n, fresh[m.From])
						return
					}
					require.Equal(t, fresh[m.From], n, "of %s", m.From)
					fresh[m.From]++
					if m.From != last {
						turns++
						last = m.From
					}
				}))
				require.Equal(t, map[string]int{"s0": each, "s1": each, "s2": each}, fresh)
				wantAgain := 0
				if faults.Duplicate > 0 && how != "Next" && how != "TryNext" {
					wantAgain = senders * each / faults.Duplicate
				}
				require.Equal(t, wantAgain, again)
				if faults.Shuffle {
					require.Greater(t, turns, 2*senders)
				} else {
					require.Equal(t, senders, turns)
				}
			})
		}
	}
}

// The same seed chooses the same order.
func TestShuffleRepeats(t *testing.T) {
	run := func(seed uint64) (order string) {
		me, a, b := trio(t)
		send(t, a, "test", 1, 2, 3, 4, 5, 6)
		send(t, b, "test", 1, 2, 3, 4, 5, 6)
		c := ipctest.Inject(me, ipctest.Faults{Shuffle: true, Seed: seed})
		for range 12 {
			m, err := c.Receive(ipctest.Context(t))
			require.NoError(t, err)
			require.False(t, m.Redelivered)
			order += m.From
		}
		_, err := c.Poll(ipctest.Context(t), 1)
		require.NoError(t, err)
		return order
	}
	first := run(1)
	require.Equal(t, first, run(1))
	require.NotEqual(t, first, run(2))
}

// A delay ends with the context, and the message is not lost. Time is virtual.
func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := ipctest.Store(t, ipcmgr.Config{Protocol: ipcmgr.Names{"mem"}})
		me := ipctest.Inject(ipctest.Connect(t, st, "me"), ipctest.Faults{Delay: 10 * time.Second})
		send(t, me, "me", "slow")
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := me.Receive(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(began))
		m, err := me.Receive(t.Context())
		require.NoError(t, err)
		require.False(t, m.Redelivered)
		require.Equal(t, 11*time.Second, time.Since(began))
		_, err = me.Poll(t.Context(), 1)
		require.NoError(t, err)
	})
}

var fragile = ipctest.Register("fragile", func(ctx context.Context, c ipcmgr.Client) error {
	c = ipctest.Inject(c, ipctest.Faults{KillAt: 3})
	return ipcmgr.Handle(ctx, c, func(ctx context.Context, m *ipcmgr.Message, v int) error {
		return c.Send(ctx, m.From, v)
	})
})

// A worker that died gets all of its work done when it is back, where mailboxes
// are kept.
func TestKillAt(t *testing.T) {
	ipctest.Each(t, func(t *testing.T, st *ipcmgr.Store) {
		const jobs = 4 // fewer than would kill the second one
		ctx := ipctest.Context(t)
		me := ipctest.Connect(t, st, "test")
		fragile.Start(t, st, "w")
		for n := range jobs {
			if err := me.Send(ctx, "w", n); st.Features().Suspends {
				require.NoError(t, err)
			}
		}
		err := ipctest.ExpectExit(t, st, "w")
		require.ErrorContains(t, err, "killed")
		if !st.Features().Suspends {
			drainAll(t, me)
			return
		}
		done := map[int]bool{}
		fragile.Start(t, st, "w")
		for len(done) < jobs {
			n, err := ipcmgr.ReceiveAs[int](ctx, me)
			require.NoError(t, err)
			done[n] = true
		}
		ipctest.Stop(t, st, "w")
		drainAll(t, me)
	})
}

func drainAll(t *testing.T, me ipcmgr.Client) {
	require.NoError(t, me.Disconnect(ipctest.Context(t), func(*ipcmgr.Message) error { return nil }))
}

// KillAt does not kill the test itself.
func TestKillAtOutsideOfAWorker(t *testing.T) {
	st := ipctest.Store(t, ipcmgr.Config{Protocol: ipcmgr.Names{"fsqueue"}})
	me := ipctest.Inject(ipctest.Connect(t, st, "me"), ipctest.Faults{KillAt: 1})
	send(t, me, "me", 1)
	_, err := me.Receive(ipctest.Context(t))
	require.ErrorContains(t, err, "KillAt is for workers")
}
