package mem_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/ipcmgr/ipcmgr/protocol/mem"
)

// spawn makes a store whose mailboxes hold two messages.
func spawn(t *testing.T) protocol.Store {
	st, err := mem.Protocol{}.Spawn(t.Context(), "", protocol.Settings{MaxPending: 2, Temporary: true})
	require.NoError(t, err)
	return st
}

func connect(t *testing.T, st protocol.Store, id string, mode protocol.Mode) protocol.Mailbox {
	m, err := st.Connect(t.Context(), protocol.ConnectOptions{ID: id, Mode: mode})
	require.NoError(t, err)
	return m
}

func send(t *testing.T, m protocol.Mailbox, to, text string) error {
	_, err := m.Deliver(t.Context(), to, []protocol.Frame{{Data: []byte(text)}}, true)
	return err
}

func fetch(t *testing.T, m protocol.Mailbox) (texts []string, ds []protocol.Delivery) {
	ds = make([]protocol.Delivery, 10)
	n, err := m.Fetch(t.Context(), ds, false)
	require.NoError(t, err)
	for _, d := range ds[:n] {
		texts = append(texts, string(d.Data))
	}
	return texts, ds[:n]
}

// Virtual time stands still while clients work and passes while all of them
// wait: every wait here is one that a bubble knows.
func TestVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := spawn(t)
		a, b := connect(t, st, "a", protocol.New), connect(t, st, "b", protocol.New)
		require.NoError(t, send(t, a, "b", "1"))
		require.NoError(t, send(t, a, "b", "2"))

		fetched := make(chan error, 1)
		go func() {
			_, err := a.Fetch(t.Context(), make([]protocol.Delivery, 1), true)
			fetched <- err
		}()
		changed := make(chan error, 1)
		_, rev, err := st.Peers(t.Context())
		require.NoError(t, err)
		go func() { changed <- st.Changed(t.Context(), rev) }()
		sent := make(chan error, 1)
		go func() { sent <- send(t, a, "b", "3") }()

		begun := time.Now()
		require.NoError(t, b.Leave(t.Context(), protocol.Departure{Suspend: true, Until: begun.Add(time.Hour)}))
		require.NoError(t, <-changed)
		require.ErrorIs(t, <-sent, protocol.ErrPeerGone, "the suspension is overdue")
		require.Equal(t, time.Hour+1, time.Since(begun))
		b = connect(t, st, "b", protocol.Reconnect)
		require.NoError(t, send(t, b, "a", "back"))
		require.NoError(t, <-fetched)
		require.NoError(t, st.Unspawn(t.Context()))
	})
}

// A deadline that the client has met, by coming back, ends nobody's waiting
// later on.
func TestDeadlineMet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := spawn(t)
		a, b := connect(t, st, "a", protocol.New), connect(t, st, "b", protocol.New)
		require.NoError(t, send(t, a, "b", "1"))
		require.NoError(t, send(t, a, "b", "2"))
		require.NoError(t, b.Leave(t.Context(), protocol.Departure{Suspend: true, Until: time.Now().Add(time.Hour)}))
		sent := make(chan error, 1)
		go func() { sent <- send(t, a, "b", "3") }()
		<-time.After(time.Minute)
		b = connect(t, st, "b", protocol.Reconnect)
		require.NoError(t, b.Leave(t.Context(), protocol.Departure{Suspend: true}))
		<-time.After(2 * time.Hour)
		b = connect(t, st, "b", protocol.Reconnect)
		_, ds := fetch(t, b)
		require.NoError(t, b.Ack(t.Context(), ds))
		require.NoError(t, <-sent)
		require.NoError(t, st.Unspawn(t.Context()))
	})
}

// Senders that wait are served in the order in which they came.
func TestBlockedSendersInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := spawn(t)
		a, b := connect(t, st, "a", protocol.New), connect(t, st, "b", protocol.New)
		var want, got []string
		for i := range 10 {
			text := fmt.Sprint(i)
			want = append(want, text)
			go func() { send(t, a, "b", text) }()
			synctest.Wait()
		}
		for len(got) < len(want) {
			texts, ds := fetch(t, b)
			require.LessOrEqual(t, len(texts), 2)
			got = append(got, texts...)
			require.NoError(t, b.Ack(t.Context(), ds))
		}
		require.Equal(t, want, got)
		require.NoError(t, st.Unspawn(t.Context()))
	})
}

// Unspawn ends every call under way.
func TestUnspawnEndsCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := spawn(t)
		a, b := connect(t, st, "a", protocol.New), connect(t, st, "b", protocol.New)
		require.NoError(t, send(t, a, "b", "1"))
		require.NoError(t, send(t, a, "b", "2"))
		errs := make(chan error, 3)
		go func() { errs <- send(t, a, "b", "3") }()
		go func() {
			_, err := a.Fetch(t.Context(), make([]protocol.Delivery, 1), true)
			errs <- err
		}()
		_, rev, err := st.Peers(t.Context())
		require.NoError(t, err)
		go func() { errs <- st.Changed(t.Context(), rev) }()
		synctest.Wait()
		require.NoError(t, st.Unspawn(t.Context()))
		for range 3 {
			err := <-errs
			require.True(t, errors.Is(err, protocol.ErrNoStore) || errors.Is(err, protocol.ErrPeerGone), err)
		}
		require.ErrorIs(t, b.Seal(t.Context()), protocol.ErrNoStore)
	})
}

// What was rejected can be listed, with who sent it and why it was.
func TestRejected(t *testing.T) {
	st := spawn(t)
	a := connect(t, st, "a", protocol.New)
	why := errors.New("poisonous")
	for i := range 1001 {
		require.NoError(t, send(t, a, "a", fmt.Sprint(i)))
		_, ds := fetch(t, a)
		require.NoError(t, a.Reject(t.Context(), ds[0], why))
	}
	list, err := mem.Rejected(st.Route())
	require.NoError(t, err)
	require.Len(t, list, 1000)
	require.Equal(t, mem.Rejection{ID: "a", From: "a", Data: []byte("1"), Reason: why}, list[0])
	require.NoError(t, st.Unspawn(t.Context()))
	_, err = mem.Rejected(st.Route())
	require.ErrorIs(t, err, protocol.ErrNoStore)
}

// Only who is there can crash.
func TestCrashNobody(t *testing.T) {
	st := spawn(t)
	require.ErrorIs(t, mem.Crash(st.Route(), "a"), protocol.ErrNoPeer)
	connect(t, st, "a", protocol.New)
	require.NoError(t, mem.Crash(st.Route(), "a"))
	require.ErrorIs(t, mem.Crash(st.Route(), "a"), protocol.ErrNoPeer)
	require.NoError(t, st.Unspawn(t.Context()))
	require.ErrorIs(t, mem.Crash(st.Route(), "a"), protocol.ErrNoStore)
}

// What a Fold refuses leaves the common statistics as they were, and the client
// as a crash would.
func TestFoldFails(t *testing.T) {
	st := spawn(t)
	a := connect(t, st, "a", protocol.New)
	why := errors.New("not mine")
	err := a.Leave(t.Context(), protocol.Departure{Under: "_all", Fold: func([]byte) ([]byte, error) { return nil, why }})
	require.ErrorIs(t, err, why)
	stats, err := st.Stats(t.Context())
	require.NoError(t, err)
	require.Empty(t, stats["_all"])
	require.Equal(t, protocol.Crashed, connect(t, st, "a", protocol.Reconnect).Found())
	require.NoError(t, st.Unspawn(t.Context()))
}
