package measure

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// As long as messages come, a turn may take any time; where none come, it is
// given up.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tm := &team{says: make(chan news, 16), moving: make(chan struct{}, 1)}
		go func() {
			for range 60 {
				<-time.After(silence - time.Second)
				tm.moving <- struct{}{}
			}
			tm.says <- news{}
		}()
		start := time.Now()
		heard, err := tm.hear(t.Context(), 1)
		require.NoError(t, err)
		require.Len(t, heard, 1)
		require.Greater(t, time.Since(start), 58*time.Minute)
		_, err = tm.hear(t.Context(), 1)
		require.ErrorIs(t, err, errSilent)
	})
}

// slowEnd has a message every other second, and then the last.
type slowEnd struct {
	slot  slot
	n, of uint64
}

func (e *slowEnd) Receive([]byte) ([]byte, error) {
	<-time.After(2 * time.Second)
	if e.slot.stamp(e.n); e.n == e.of {
		e.slot.stamp(last | e.n)
	}
	e.n++
	return e.slot.bytes, nil
}

func (*slowEnd) Send(any) error        { return nil }
func (*slowEnd) SendBatch([]any) error { return nil }
func (*slowEnd) Close() error          { return nil }

// A reader says that messages come, however slowly, more often than they may
// stay away.
func TestReaderReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		find := func(string) (Lane, error) {
			return Lane{Host: func(context.Context, Place) (string, func() (End, error), error) {
				return "", func() (End, error) { return &slowEnd{slot: newSlot(64), of: 200}, nil }, nil
			}}, nil
		}
		in, orders := io.Pipe()
		answers, out := io.Pipe()
		played := make(chan error, 1)
		go func() { played <- Play(find, in, out) }()
		tell := json.NewEncoder(orders)
		require.NoError(t, tell.Encode(part{Side: host}))
		says := bufio.NewScanner(answers)
		for _, o := range []order{{Do: "open"}, {Do: "meet"}} {
			require.NoError(t, tell.Encode(o))
			require.True(t, says.Scan())
		}
		require.NoError(t, tell.Encode(order{Do: "take", Shape: Send, Size: 64}))
		start, reports := time.Now(), 0
		for says.Scan() && bytes.Contains(says.Bytes(), []byte("moving")) {
			require.Less(t, time.Since(start), silence)
			start = time.Now()
			reports++
		}
		require.Equal(t, `{"done":"take"}`, says.Text())
		require.Equal(t, 12, reports)
		require.NoError(t, orders.Close())
		require.NoError(t, <-played)
	})
}
