package robustness

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// The files known_*_test.go have a test for each way in which systems of this
// kind are known to fail, named after the failure that does not happen here.

// Elsewhere, a message over a size limit is sent "ok" and truncated, and its
// reader dies on it for ever.
func TestOversizedMessageIsRefusedNotTruncated(t *testing.T) {
	over(t, everywhere, ipcmgr.Config{MaxMessage: 1000}, func(w *world) {
		a, b := w.connect("a"), w.connect("b")
		fits := long(998) // and two quotes
		w.send(a, "b", fits)
		require.ErrorIs(w, a.Send(w.ctx, "b", fits+"x"), ipcmgr.ErrTooLarge)
		n, err := a.SendBatch(w.ctx, "b", "in", "the", fits+"x", "batch")
		require.ErrorIs(w, err, ipcmgr.ErrTooLarge)
		require.Zero(w, n)
		_, err = a.Broadcast(w.ctx, fits)
		require.NoError(w, err)
		w.send(a, "b", "after")
		require.Equal(w, []string{fits, fits, "after"}, w.receive(b, 3))

		// One who does not ask the root package is refused by the protocol.
		mallory := w.raw("mallory")
		huge := make([]byte, w.store.Settings().MaxFrame+1)
		n, err = mallory.Deliver(w.ctx, "b", []protocol.Frame{{ID: []byte("x"), Data: huge}}, true)
		require.ErrorIs(w, err, ipcmgr.ErrTooLarge)
		require.Zero(w, n)
		w.send(a, "b", "still")
		require.Equal(w, []string{"still"}, w.receive(b, 1))
	})
}

// Elsewhere, one garbage datagram or file poisons all later reads, and messages
// that were taken with it are lost.
func TestGarbagePoisonsNothing(t *testing.T) {
	over(t, everywhere, ipcmgr.Config{}, func(w *world) {
		var told atomic.Int64
		b := w.connect("b", ipcmgr.OnCorrupt(func(e *ipcmgr.CorruptError) {
			require.Equal(w, "b", e.ID)
			told.Add(1)
		}))
		mallory := w.raw("mallory")
		good := func(i int) []byte { return w.envelope("mallory", "b", fmt.Sprint("good", i)) }
		var frames []protocol.Frame
		const garbage = 50
		for i := range garbage {
			bad := good(i)[:i]
			frames = append(frames,
				protocol.Frame{ID: fmt.Append(nil, "g", i), Data: good(i)},
				protocol.Frame{ID: fmt.Append(nil, "b", i), Data: bad})
		}
		n, err := mallory.Deliver(w.ctx, "b", frames, true)
		require.NoError(w, err)
		require.Equal(w, len(frames), n)
		require.Equal(w, numbered("good", garbage), w.receive(b, garbage))
		ms, err := b.Poll(w.ctx, 1)
		require.NoError(w, err)
		require.Empty(w, ms)
		require.EqualValues(w, garbage, told.Load())
		var counted int64
		for _, n := range b.Stats().Corrupt {
			counted += n
		}
		require.EqualValues(w, garbage, counted)
		w.leave(b)
	})
}

// Elsewhere, messages already taken are lost when a later one does not decode.
func TestLaterMessageThatDoesNotDecodeLosesNothing(t *testing.T) {
	over(t, everywhere, ipcmgr.Config{}, func(w *world) {
		a, b := w.connect("a"), w.connect("b", ipcmgr.ManualAck())
		n, err := a.SendBatch(w.ctx, "b", "one", 2, "three")
		require.NoError(w, err)
		require.Equal(w, 3, n)
		var ms [3]*ipcmgr.Message
		for i := range ms {
			ms[i], err = b.Receive(w.ctx)
			require.NoError(w, err)
		}
		var text string
		require.NoError(w, ms[0].Decode(&text))
		require.Error(w, ms[1].Decode(&text))
		require.NoError(w, ms[2].Decode(&text))
		require.Equal(w, "three", text)
		require.NoError(w, ms[1].Reject(w.ctx, fmt.Errorf("a number")))
		require.NoError(w, ms[2].Ack(w.ctx))
		require.NoError(w, ms[0].Requeue())
		require.Equal(w, []string{"one"}, w.receive(b, 1))
	})
}

// Elsewhere, messages with equal time stamps change their order.
func TestEqualTimeStampsKeepTheirOrder(t *testing.T) {
	over(t, everywhere, ipcmgr.Config{}, func(w *world) {
		a, b := w.connect("a"), w.connect("b")
		const count = 3000 // within a few ticks of any clock
		batch := make([]any, count)
		for i, text := range numbered("", count) {
			batch[i] = text
		}
		_, err := a.SendBatch(w.ctx, "b", batch...)
		require.NoError(w, err)
		require.Equal(w, numbered("", count), w.receive(b, count))

		// Stamps that are equal because the sender says so.
		mallory := w.raw("mallory")
		for i := range 100 {
			_, err := mallory.Deliver(w.ctx, "b", []protocol.Frame{{ID: []byte("same"), Data: w.envelope("mallory", "b", fmt.Sprint(i))}}, true)
			require.NoError(w, err)
		}
		require.Equal(w, numbered("", 100), w.receive(b, 100))
	})
}

// Elsewhere, a message put back is not seen until another one arrives.
func TestPutBackIsSeenAtOnce(t *testing.T) {
	over(t, everywhere, ipcmgr.Config{}, func(w *world) {
		a, b := w.connect("a"), w.connect("b", ipcmgr.ManualAck())
		w.send(a, "b", "one")
		m, err := b.Receive(w.ctx)
		require.NoError(w, err)
		waiting, got := make(chan struct{}), make(chan *ipcmgr.Message)
		go func() { // waits for a message when it is put back
			close(waiting)
			m, err := b.Receive(w.ctx)
			if err != nil {
				w.Error(err)
			}
			got <- m
		}()
		<-waiting
		require.NoError(w, m.Requeue())
		m = <-got
		require.True(w, m.Redelivered)
		require.NoError(w, m.Requeue())
		if !w.store.Features().Suspends {
			return
		}
		require.NoError(w, b.Suspend(w.ctx, noDeadline))
		b, err = w.store.Reconnect(w.ctx, "b")
		require.NoError(w, err)
		m, err = b.Receive(w.ctx)
		require.NoError(w, err)
		require.True(w, m.Redelivered)
	})
}
