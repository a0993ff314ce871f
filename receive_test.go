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

// Receive and Poll acknowledge what earlier ones handed out.
func TestReceiveAcknowledgesTheEarlier(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		ctx := testContext(t)
		a := connect(t, s, "a")
		send(t, a, "a", "one", "two", "three", "four")
		one, err := a.Receive(ctx)
		require.NoError(t, err)
		require.Equal(t, "one", decode(t, one))
		require.Zero(t, a.Stats().Read["a"])
		ms, err := a.Poll(ctx, 2)
		require.NoError(t, err)
		require.Len(t, ms, 2)
		require.ErrorIs(t, one.Decode(new(string)), ipcmgr.ErrAcknowledged)
		require.ErrorIs(t, one.Ack(ctx), ipcmgr.ErrAcknowledged)
		require.ErrorIs(t, one.Requeue(), ipcmgr.ErrAcknowledged)
		require.ErrorIs(t, one.Reject(ctx, nil), ipcmgr.ErrAcknowledged)
		require.Equal(t, "two", decode(t, ms[0]))
		require.Equal(t, "three", decode(t, ms[1]))
		require.Equal(t, []string{"four"}, receive(t, a, 1))
		empty(t, a) // now all are on record
		require.EqualValues(t, 4, a.Stats().Read["a"])
	})
}

// The loop acknowledges a message when it asks for the next; breaking out of
// it, or a panic in it, does not.
func TestLoopAcknowledges(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		ctx := testContext(t)
		a := connect(t, s, "a")
		send(t, a, "a", "one", "two", "three")
		var ms []*ipcmgr.Message
		for m, err := range a.Messages(ctx) {
			require.NoError(t, err)
			ms = append(ms, m)
			if len(ms) == 2 {
				break
			}
		}
		require.ErrorIs(t, ms[0].Decode(new(string)), ipcmgr.ErrAcknowledged)
		require.Equal(t, "two", decode(t, ms[1]))
		require.NoError(t, ms[1].Requeue())
		require.PanicsWithValue(t, "poison", func() {
			for m, err := range a.Messages(ctx) {
				require.NoError(t, err)
				require.True(t, m.Redelivered)
				ms = append(ms, m)
				panic("poison")
			}
		})
		require.Equal(t, "two", decode(t, ms[2]))
		require.NoError(t, ms[2].Ack(ctx))
		require.Equal(t, []string{"three"}, receive(t, a, 1))
	})
}

func TestManualAck(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		ctx := testContext(t)
		a := connect(t, s, "a")
		v := connect(t, s, "b", ipcmgr.ManualAck())
		send(t, a, "b", "one", "two", "three", "four")
		var ms []*ipcmgr.Message
		for range 4 {
			m, err := v.Receive(ctx)
			require.NoError(t, err)
			ms = append(ms, m)
		}
		require.NoError(t, ms[2].Ack(ctx)) // in any order
		require.EqualValues(t, 1, v.Stats().Read["a"])
		require.NoError(t, ms[0].Ack(ctx))
		require.NoError(t, ms[3].Requeue())
		require.Equal(t, "two", decode(t, ms[1]))
		if !s.Features().Suspends {
			return
		}
		require.NoError(t, v.Suspend(ctx, time.Time{})) // acknowledges what was not put back
		v, err := s.Reconnect(ctx, "b")
		require.NoError(t, err)
		m, err := v.Receive(ctx)
		require.NoError(t, err)
		require.Equal(t, "four", decode(t, m))
		require.True(t, m.Redelivered, "it was put back")
		empty(t, v)
		require.EqualValues(t, 4, v.Stats().Read["a"])
	})
}

// What is put back comes first, marked, and a Receive that waits sees it at
// once.
func TestRequeue(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		ctx := testContext(t)
		a := connect(t, s, "a", ipcmgr.ManualAck())
		send(t, a, "a", "one", "two", "three")
		one, err := a.Receive(ctx)
		require.NoError(t, err)
		two, err := a.Receive(ctx)
		require.NoError(t, err)
		require.NoError(t, two.Requeue())
		require.NoError(t, one.Requeue())
		require.ErrorContains(t, one.Requeue(), "put back")
		for _, want := range []string{"one", "two", "three"} {
			m, err := a.Receive(ctx)
			require.NoError(t, err)
			require.Equal(t, want, decode(t, m))
			require.Equal(t, want != "three", m.Redelivered)
			if want != "two" {
				require.NoError(t, m.Ack(ctx))
			} else {
				two = m
			}
		}
		require.EqualValues(t, 2, a.Stats().Read["a"])

		waits := make(chan struct{})
		got := make(chan string)
		go func() {
			close(waits)
			m, err := a.Receive(ctx)
			if err != nil {
				t.Error(err)
			}
			got <- decode(t, m)
		}()
		<-waits
		require.NoError(t, two.Requeue())
		require.Equal(t, "two", <-got)
	})
}

func TestReject(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		ctx := testContext(t)
		a, b := connect(t, s, "a"), connect(t, s, "b")
		send(t, a, "b", "poison", "good")
		m, err := b.Receive(ctx)
		require.NoError(t, err)
		require.NoError(t, m.Reject(ctx, errors.New("tastes bad")))
		require.ErrorIs(t, m.Decode(new(string)), ipcmgr.ErrAcknowledged)
		require.Equal(t, []string{"good"}, receive(t, b, 1))
		empty(t, b)
		require.EqualValues(t, 1, b.Stats().Rejected["a"])
		require.EqualValues(t, 1, b.Stats().Read["a"])
		require.NoError(t, b.Disconnect(ctx, nil))
		require.NoError(t, a.Disconnect(ctx, nil))
		audit, err := s.Audit(ctx)
		require.NoError(t, err)
		require.NoError(t, audit.Err())
		require.Equal(t, ipcmgr.Equal, audit.Pairs[0].Verdict)
	})
}

func TestHandle(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		ctx := testContext(t)
		a := connect(t, s, "a")
		for round, opts := range [][]ipcmgr.ConnectOption{nil, {ipcmgr.ManualAck()}} {
			b := connect(t, s, "b", append(opts, ipcmgr.Fresh())...)
			send(t, a, "b", 1, "no number", 2, 3)
			stop := errors.New("stop")
			var seen []int
			err := ipcmgr.Handle(ctx, b, func(ctx context.Context, m *ipcmgr.Message, n int) error {
				seen = append(seen, n)
				if n == 2 {
					return stop
				}
				return nil
			})
			require.ErrorIs(t, err, stop)
			require.Equal(t, []int{1, 2}, seen)
			require.EqualValues(t, round+1, b.Stats().Rejected["a"])
			n, err := ipcmgr.ReceiveAs[int](ctx, b) // it was put back
			require.NoError(t, err)
			require.Equal(t, 2, n)
			_, err = ipcmgr.ReceiveAs[string](ctx, b)
			require.ErrorContains(t, err, "does not decode")
			n, err = ipcmgr.ReceiveAs[int](ctx, b)
			require.NoError(t, err)
			require.Equal(t, 3, n)
			require.NoError(t, b.Disconnect(ctx, nil))
		}
	})
}

func TestContextsOfReceive(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		a := connect(t, s, "a")
		cause := errors.New("enough")
		for _, wait := range []func(ctx context.Context) error{
			func(ctx context.Context) error { _, err := a.Receive(ctx); return err },
			func(ctx context.Context) error {
				for _, err := range a.Messages(ctx) {
					return err
				}
				return nil
			},
			func(ctx context.Context) error { return s.WaitPeer(ctx, "a", "nobody") },
			func(ctx context.Context) error { return s.Wait(ctx) },
			func(ctx context.Context) error {
				for p, err := range s.Watch(ctx) {
					if err != nil {
						return err
					}
					require.Equal(t, "a", p.ID)
				}
				return nil
			},
		} {
			ctx, cancel := context.WithCancelCause(testContext(t))
			done := make(chan error)
			go func() { done <- wait(ctx) }()
			cancel(cause)
			require.ErrorIs(t, <-done, cause)
		}
		send(t, a, "a", "still alive")
		require.Equal(t, []string{"still alive"}, receive(t, a, 1))
	})
}

// A message that was put back may be another goroutine's by the time the first
// one is done with it: the first one's acknowledging does not touch it.
func TestRequeuedMessageIsAnother(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		ctx := testContext(t)
		a := connect(t, s, "a")
		send(t, a, "a", "one", "two", "three")
		var other *ipcmgr.Message
		for m, err := range a.Messages(ctx) {
			require.NoError(t, err)
			if other != nil {
				break
			}
			require.NoError(t, m.Requeue())
			require.ErrorContains(t, m.Decode(new(string)), "put back")
			require.ErrorContains(t, m.Ack(ctx), "put back")
			ms, err := a.Poll(ctx, 1)
			require.NoError(t, err)
			other = ms[0]
		}
		require.Equal(t, "one", decode(t, other))
		require.True(t, other.Redelivered)
		require.NoError(t, other.Ack(ctx))

		three, err := a.Receive(ctx)
		require.NoError(t, err)
		require.NoError(t, three.Requeue())
		for m, err := range a.Messages(ctx) {
			require.NoError(t, err)
			empty(t, a) // acknowledges what earlier ones handed out, not this one
			require.Equal(t, "three", decode(t, m))
			require.NoError(t, m.Ack(ctx))
			break
		}
	})
}

// What a goroutine has acknowledged is on record while it waits for its turn
// behind another one that waits for a message: else that would never come when
// the mailbox is full.
func TestAcknowledgedBehindAnotherThatWaits(t *testing.T) {
	eachConfig(t, ipcmgr.Config{MaxPending: 1}, func(t *testing.T, s *ipcmgr.Store) {
		const total = 50
		ctx, enough := context.WithCancelCause(testContext(t))
		done := errors.New("all have come")
		defer enough(nil)
		a, b := connect(t, s, "a"), connect(t, s, "b")
		var got atomic.Int64
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for m, err := range b.Messages(ctx) {
					if err != nil {
						if !errors.Is(err, done) {
							t.Error(err)
						}
						return
					}
					if got.Add(1) == total {
						if err := m.Ack(ctx); err != nil {
							t.Error(err)
						}
						enough(done)
					}
				}
			})
		}
		for n := range total {
			send(t, a, "b", n)
		}
		wg.Wait()
		require.EqualValues(t, total, got.Load())
		require.NoError(t, b.Disconnect(testContext(t), nil))
	})
}

// What is on record as acknowledged is counted, also when the client leaves in
// the middle of it.
func TestLeaveWhileAcknowledging(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		ctx := testContext(t)
		a := connect(t, s, "a")
		for range 20 {
			b := connect(t, s, "b", ipcmgr.ManualAck())
			send(t, a, "b", 1, 2, 3, 4)
			var wg sync.WaitGroup
			for range 4 {
				m, err := b.Receive(ctx)
				require.NoError(t, err)
				wg.Go(func() {
					if err := m.Ack(ctx); err != nil && !errors.Is(err, ipcmgr.ErrClosed) && !errors.Is(err, ipcmgr.ErrAcknowledged) {
						t.Error(err)
					}
				})
			}
			require.NoError(t, b.Disconnect(ctx, nil))
			wg.Wait()
		}
		require.NoError(t, a.Disconnect(ctx, nil))
		audit, err := s.Audit(ctx)
		require.NoError(t, err)
		require.NoError(t, audit.Err())
		require.EqualValues(t, 80, audit.Pairs[0].Read)
	})
}
