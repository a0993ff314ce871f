package ipcmgr_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
)

type point struct {
	X int    `json:"x"`
	S string `json:"s,omitempty"`
}

func TestSendAndReceive(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		ctx := testContext(t)
		alice, bob := connect(t, s, "alice"), connect(t, s, "bob")
		before := time.Now().Add(-time.Second)
		send(t, alice, "bob", point{X: 1, S: "é\x00"})
		m, err := bob.Receive(ctx)
		require.NoError(t, err)
		require.Equal(t, "alice", m.From)
		require.Equal(t, "bob", m.To)
		require.Len(t, m.ID, 36)
		require.WithinRange(t, m.Time, before, time.Now().Add(time.Second))
		require.False(t, m.Broadcast)
		require.False(t, m.Redelivered)
		require.Nil(t, m.Headers)
		require.False(t, m.IsTerminate())
		var p point
		require.NoError(t, m.Decode(&p))
		require.Equal(t, point{X: 1, S: "é\x00"}, p)
		var wrong []int
		require.ErrorContains(t, m.Decode(&wrong), m.ID)

		send(t, bob, "bob", "to myself")
		require.Equal(t, []string{"to myself"}, receive(t, bob, 1))
	})
}

func TestSendRefuses(t *testing.T) {
	eachConfig(t, ipcmgr.Config{MaxMessage: 1000}, func(t *testing.T, s *ipcmgr.Store) {
		ctx := testContext(t)
		alice, bob := connect(t, s, "alice"), connect(t, s, "bob")
		require.ErrorIs(t, alice.Send(ctx, "nobody", 1), ipcmgr.ErrNoPeer)
		require.ErrorContains(t, alice.Send(ctx, "bob", nil), "nil")
		require.Error(t, alice.Send(ctx, "bob", func() {}))
		require.ErrorContains(t, alice.Send(ctx, "bob", (*ipcmgr.Message)(nil)), "nil")
		n, err := alice.SendBatch(ctx, "bob", "fine", make(chan int))
		require.ErrorContains(t, err, "message 1 of the batch")
		require.Zero(t, n)

		// The limit is on the encoded content: a string has two bytes more in
		// JSON, three in msgpack.
		room := map[string]int{"json": 998, "msgpack": 997}[s.Info().Serializer]
		for _, size := range []int{room - 1, room} {
			send(t, alice, "bob", strings.Repeat("x", size))
			require.Len(t, receive(t, bob, 1)[0], size)
		}
		err = alice.Send(ctx, "bob", strings.Repeat("x", room+1))
		require.ErrorIs(t, err, ipcmgr.ErrTooLarge)
		require.ErrorContains(t, err, "1001 bytes")
		require.ErrorContains(t, err, "at most 1000")

		m := ipcmgr.NewMessage(1)
		m.Headers = map[string]string{"k": strings.Repeat("v", ipcmgr.MaxHeaders)}
		require.ErrorIs(t, alice.Send(ctx, "bob", m), ipcmgr.ErrTooLarge)
		for _, id := range []string{"../x", "a b", ".x", strings.Repeat("x", 200)} {
			m = ipcmgr.NewMessage(1)
			m.ID = id
			require.ErrorContains(t, alice.Send(ctx, "bob", m), "message id")
		}
		empty(t, bob)
		require.Empty(t, alice.Stats().Sent["nobody"])
		require.EqualValues(t, 2, alice.Stats().Sent["bob"])
	})
}

// The largest headers, ids and content fit a frame together.
func TestLargestMessage(t *testing.T) {
	eachConfig(t, ipcmgr.Config{MaxMessage: 1000}, func(t *testing.T, s *ipcmgr.Store) {
		a, b := strings.Repeat("\x01", 512), strings.Repeat("\x02", 512)
		alice, bob := connect(t, s, a), connect(t, s, b)
		m := ipcmgr.NewMessage(strings.Repeat("x", 900))
		m.Headers = map[string]string{"k": strings.Repeat("\x03", ipcmgr.MaxHeaders-1)}
		send(t, alice, b, m)
		got, err := bob.Receive(testContext(t))
		require.NoError(t, err)
		require.Equal(t, m.Headers, got.Headers)
		require.Equal(t, a, got.From)
	})
}

func TestMessageParts(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		ctx := testContext(t)
		alice, bob := connect(t, s, "alice"), connect(t, s, "bob")
		built := ipcmgr.NewMessage("one")
		built.ID, built.Headers = "my-id.1", map[string]string{"trace": "é\n", "a": ""}
		send(t, alice, "bob", built, built.With("two"))
		first, err := bob.Receive(ctx)
		require.NoError(t, err)
		require.Equal(t, "my-id.1", first.ID)
		require.Equal(t, built.Headers, first.Headers)
		require.Equal(t, "one", decode(t, first))
		clone, err := first.Clone()
		require.NoError(t, err)
		kept, err := first.Keep()
		require.NoError(t, err)
		second, err := bob.Receive(ctx)
		require.NoError(t, err)
		require.Equal(t, "my-id.1", second.ID)
		require.Equal(t, "two", decode(t, second))

		// The first one is acknowledged now: what was copied remains.
		require.ErrorIs(t, first.Decode(new(string)), ipcmgr.ErrAcknowledged)
		_, err = first.Keep()
		require.ErrorIs(t, err, ipcmgr.ErrAcknowledged)
		require.ErrorIs(t, bob.Send(ctx, "alice", first), ipcmgr.ErrAcknowledged)
		require.Equal(t, "one", decode(t, kept))
		require.Equal(t, "alice", kept.From)
		require.NotEqual(t, kept.ID, clone.ID)

		// A received message is sent on without decoding it, with its id, a
		// clone with its own.
		send(t, bob, "alice", kept, clone, second)
		for _, want := range []struct{ id, content string }{{"my-id.1", "one"}, {clone.ID, "one"}, {"my-id.1", "two"}} {
			m, err := alice.Receive(ctx)
			require.NoError(t, err)
			require.Equal(t, want.id, m.ID)
			require.Equal(t, "bob", m.From)
			require.Equal(t, built.Headers, m.Headers)
			require.Equal(t, want.content, decode(t, m))
		}
		require.Error(t, kept.Ack(ctx))
		require.Error(t, built.Requeue())
	})
}

// A message goes from a store of one form to a store of another.
func TestSendOnInAnotherForm(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		ctx := testContext(t)
		other := map[string]string{"json": "msgpack", "msgpack": "json"}[s.Info().Serializer]
		s2, err := ipcmgr.Spawn(ctx, ipcmgr.Config{Protocol: ipcmgr.Names{"mem"}, Serializer: other})
		require.NoError(t, err)
		a, b := connect(t, s, "a"), connect(t, s2, "b")
		send(t, a, "a", point{X: 7})
		m, err := a.Receive(ctx)
		require.NoError(t, err)
		send(t, b, "b", m)
		p, err := ipcmgr.ReceiveAs[point](ctx, b)
		require.NoError(t, err)
		require.Equal(t, point{X: 7}, p)
		require.NoError(t, b.Disconnect(ctx, nil))
		require.NoError(t, s2.Shutdown(ctx))
	})
}

func TestSendBatch(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		ctx := testContext(t)
		alice, bob := connect(t, s, "alice"), connect(t, s, "bob")
		batch := make([]any, 1000)
		for n := range batch {
			batch[n] = n
		}
		n, err := alice.SendBatch(ctx, "bob", batch...)
		require.NoError(t, err)
		require.Equal(t, 1000, n)
		n, err = alice.SendBatch(ctx, "bob")
		require.NoError(t, err)
		require.Zero(t, n)
		want := 0
		for m, err := range bob.Messages(ctx) {
			require.NoError(t, err)
			var got int
			require.NoError(t, m.Decode(&got))
			require.Equal(t, want, got)
			if want++; want == 1000 {
				break
			}
		}
		empty(t, bob)
	})
}

func TestFull(t *testing.T) {
	eachConfig(t, ipcmgr.Config{MaxPending: 4}, func(t *testing.T, s *ipcmgr.Store) {
		ctx := testContext(t)
		alice, bob, carol := connect(t, s, "alice"), connect(t, s, "bob"), connect(t, s, "carol")
		accepted := 0
		for alice.TrySend(ctx, "bob", "x") == nil {
			accepted++
		}
		require.ErrorIs(t, alice.TrySend(ctx, "bob", "x"), ipcmgr.ErrFull)
		require.Equal(t, 4, accepted)

		gone := errors.New("no longer wanted")
		timed, cancel := context.WithCancelCause(ctx)
		cancel(gone)
		require.ErrorIs(t, alice.Send(timed, "bob", "x"), gone)

		// A full one does not hold up the others.
		done := make(chan ipcmgr.Results)
		go func() {
			results, err := alice.Broadcast(ctx, "all")
			if err != nil {
				t.Error(err)
			}
			done <- results
		}()
		m, err := carol.Receive(ctx)
		require.NoError(t, err)
		require.True(t, m.Broadcast)
		require.Equal(t, []string{"x", "x", "x", "x", "all"}, receive(t, bob, 5))
		results := <-done
		require.Equal(t, ipcmgr.Results{"bob": nil, "carol": nil}, results)
		require.NoError(t, results.Err())
		require.EqualValues(t, map[string]int64{"bob": 5, "carol": 1}, alice.Stats().Sent)
	})
}

// Two that send to each other before they read do not block within the limits.
func TestTwoThatSendBeforeTheyReceive(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		a, b := connect(t, s, "a"), connect(t, s, "b")
		large := strings.Repeat("x", 1<<20)
		for range 8 {
			send(t, a, "b", large)
			send(t, b, "a", large)
		}
		require.Len(t, receive(t, a, 8), 8)
		require.Len(t, receive(t, b, 8), 8)
	})
}

// Whatever the clock does, messages stay in order, and no two of one sender
// have the same stamp.
func TestOrderWhenTheClockStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		s, err := ipcmgr.Spawn(ctx, ipcmgr.Config{Protocol: ipcmgr.Names{"mem"}, Serializer: "json"})
		require.NoError(t, err)
		a, err := s.Connect(ctx, "a")
		require.NoError(t, err)
		for n := range 100 { // time does not pass in here
			require.NoError(t, a.Send(ctx, "a", n))
		}
		for want := range 100 {
			got, err := ipcmgr.ReceiveAs[int](ctx, a)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
		require.NoError(t, a.Disconnect(ctx, nil))
		require.NoError(t, s.Close())
	})
}
