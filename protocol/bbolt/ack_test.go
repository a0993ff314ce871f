package bbolt

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/stretchr/testify/require"
)

// An Ack that comes while another one is held up ends with its context, and what
// it was about is acknowledged by the next one, or comes again.
func TestAckBehindAnother(t *testing.T) {
	for _, acked := range []bool{true, false} {
		s := spawn(t, false)
		a := connect(t, s, "a", protocol.New)
		b := connect(t, s, "b", protocol.New)
		deliver(t, a, "b", "one", "two", "three")
		ds, _ := fetch(t, b, 3)

		b.recording <- struct{}{} // somebody is at it
		enough := errors.New("enough")
		ctx, stop := context.WithCancelCause(t.Context())
		ends := make(chan error, 2)
		go func() { ends <- b.Ack(ctx, ds[:1]) }()
		go func() { ends <- b.Ack(ctx, ds[:2]) }()
		for unacknowledged := 3; unacknowledged > 1; runtime.Gosched() {
			b.mu.Lock()
			unacknowledged = len(b.out)
			b.mu.Unlock()
		}
		stop(enough)
		require.ErrorIs(t, <-ends, enough)
		require.ErrorIs(t, <-ends, enough)
		<-b.recording

		want := []string{"one", "two", "three"}
		if acked {
			require.NoError(t, b.Ack(t.Context(), ds[1:2]))
			n, err := s.Unread(t.Context(), "b")
			require.NoError(t, err)
			require.Equal(t, 1, n)
			require.NoError(t, b.Ack(t.Context(), ds[:2]))
			want = want[2:]
		}
		require.NoError(t, b.Leave(t.Context(), protocol.Departure{Suspend: true}))
		b = connect(t, s, "b", protocol.Reconnect)
		_, got := fetch(t, b, len(want))
		require.Equal(t, want, got)
		require.NoError(t, b.Leave(t.Context(), protocol.Departure{}))
	}
}
