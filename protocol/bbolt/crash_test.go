package bbolt

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/stretchr/testify/require"
)

func spawn(t testing.TB, durable bool) protocol.Store {
	t.Helper()
	s, err := Protocol{}.Spawn(t.Context(), filepath.Join(t.TempDir(), "s"), protocol.Settings{
		MaxFrame: 1 << 20, MaxPending: 1 << 16, MaxBytes: 1 << 26, Sync: durable,
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, s.Unspawn(context.Background()))
		require.NoError(t, s.Close())
	})
	return s
}

func connect(t testing.TB, s protocol.Store, id string, mode protocol.Mode) *mailbox {
	t.Helper()
	m, err := s.Connect(t.Context(), protocol.ConnectOptions{ID: id, Mode: mode, Notice: func(err error) { t.Log("notice:", err) }})
	require.NoError(t, err)
	return m.(*mailbox)
}

func deliver(t testing.TB, m protocol.Mailbox, to string, data ...string) {
	t.Helper()
	var frames []protocol.Frame
	for _, d := range data {
		frames = append(frames, protocol.Frame{Data: []byte(d)})
	}
	n, err := m.Deliver(t.Context(), to, frames, true)
	require.NoError(t, err)
	require.Equal(t, len(data), n)
}

// fetch fetches at most max messages that are there; those that are marked as
// redelivered have a star.
func fetch(t testing.TB, m protocol.Mailbox, max int) (ds []protocol.Delivery, data []string) {
	t.Helper()
	ds = make([]protocol.Delivery, max)
	n, err := m.Fetch(t.Context(), ds, false)
	require.NoError(t, err)
	for _, d := range ds[:n] {
		s := string(d.Data)
		if d.Redelivered {
			s += "*"
		}
		data = append(data, s)
	}
	return ds[:n], data
}

// hoard connects, fetches HAVE messages, acknowledges the first DONE of them,
// and waits: ROUTE HAVE DONE.
func hoard(args []string) error {
	ctx := context.Background()
	have, _ := strconv.Atoi(args[1])
	done, _ := strconv.Atoi(args[2])
	s, err := Protocol{}.Open(ctx, args[0])
	if err != nil {
		return err
	}
	m, err := s.Connect(ctx, protocol.ConnectOptions{ID: "b", Mode: protocol.Resume})
	if err != nil {
		return err
	}
	ds := make([]protocol.Delivery, have)
	if _, err := m.Fetch(ctx, ds, true); err != nil {
		return err
	}
	if err := m.Ack(ctx, ds[:done]); err != nil {
		return err
	}
	fmt.Println("done")
	fmt.Scanln()
	return nil
}

// What a killed holder had fetched comes again, marked, unless it was
// acknowledged; nothing else is marked. A mark stays until the message is
// acknowledged.
func TestKilledReceiver(t *testing.T) {
	for _, durable := range []bool{false, true} {
		t.Run(fmt.Sprintf("sync=%v", durable), func(t *testing.T) {
			s := spawn(t, durable)
			a := connect(t, s, "a", protocol.New)
			b := connect(t, s, "b", protocol.New)
			deliver(t, a, "b", "1", "2", "3", "4", "5", "6")
			require.NoError(t, b.Leave(t.Context(), protocol.Departure{Suspend: true}))
			c := start(t, "hoard", s.Route(), "4", "2")
			c.says()
			c.kill()
			deliver(t, a, "b", "7")
			n, err := s.Unread(t.Context(), "b")
			require.NoError(t, err)
			require.Equal(t, 5, n)

			b = connect(t, s, "b", protocol.Reconnect)
			require.Equal(t, protocol.Crashed, b.Found())
			ds, got := fetch(t, b, 1)
			require.Equal(t, []string{"3*"}, got)
			require.NoError(t, b.Ack(t.Context(), ds))
			require.NoError(t, b.Leave(t.Context(), protocol.Departure{Suspend: true}))

			b = connect(t, s, "b", protocol.Reconnect)
			_, got = fetch(t, b, 10)
			require.Equal(t, []string{"4*", "5", "6", "7"}, got)
		})
	}
}

// What was put back comes first, in the order in which it was put back, and is
// marked, also when the one who comes then does not get round to it.
func TestPutBack(t *testing.T) {
	s := spawn(t, false)
	a := connect(t, s, "a", protocol.New)
	b := connect(t, s, "b", protocol.New)
	deliver(t, a, "b", "1", "2", "3", "4", "5")
	ds, _ := fetch(t, b, 4)
	require.NoError(t, b.Ack(t.Context(), ds[:1]))
	require.NoError(t, b.Leave(t.Context(), protocol.Departure{Suspend: true, Back: []protocol.Delivery{ds[2], ds[1]}}))

	b = connect(t, s, "b", protocol.Reconnect)
	ds, got := fetch(t, b, 1)
	require.Equal(t, []string{"3*"}, got)
	require.NoError(t, b.Leave(t.Context(), protocol.Departure{Suspend: true, Back: ds}))

	b = connect(t, s, "b", protocol.Reconnect)
	_, got = fetch(t, b, 10)
	require.Equal(t, []string{"3*", "2*", "4", "5"}, got)
}

// A sender that is killed at any moment has not left a message of which the
// sleeping reader does not know.
func TestKilledSenderStrandsNothing(t *testing.T) {
	s := spawn(t, false)
	b := connect(t, s, "b", protocol.New)
	got := make(chan int, 1<<16)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ds := make([]protocol.Delivery, 10)
		for {
			n, err := b.Fetch(ctx, ds, true)
			if err == nil {
				err = b.Ack(ctx, ds[:n])
			}
			if err != nil {
				ended <- err
				return
			}
			got <- n
		}
	}()
	for range 60 {
		c := start(t, "send", s.Route(), "1000000", "1")
		c.says()
		for len(got) > 0 { // of the one before
			<-got
		}
		fmt.Fprintln(c.in)
		for more := rand.IntN(40); more >= 0; {
			select {
			case n := <-got:
				more -= n
			case err := <-ended:
				t.Fatal(err)
			}
		}
		c.kill()
		eventually(t, func() bool {
			n, err := s.Unread(t.Context(), "b")
			require.NoError(t, err)
			return n == 0
		})
		// The next one takes the place of the one that was killed.
		a := connect(t, s, "a", protocol.Reconnect)
		require.NoError(t, a.Leave(t.Context(), protocol.Departure{}))
	}
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
}

// A reader that sleeps learns that its store is gone.
func TestFetchEndsWithTheStore(t *testing.T) {
	s, err := Protocol{}.Spawn(t.Context(), filepath.Join(t.TempDir(), "s"), protocol.Settings{})
	require.NoError(t, err)
	defer s.Close()
	other, err := Protocol{}.Open(t.Context(), s.Route())
	require.NoError(t, err)
	defer other.Close()
	b := connect(t, other, "b", protocol.New)
	ended := make(chan error, 1)
	go func() {
		_, err := b.Fetch(t.Context(), make([]protocol.Delivery, 1), true)
		ended <- err
	}()
	require.NoError(t, s.Unspawn(t.Context()))
	require.ErrorIs(t, <-ended, protocol.ErrNoStore)
}
