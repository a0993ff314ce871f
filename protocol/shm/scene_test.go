//go:build linux && !ipcmgr_fallback

package shm

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/internal/trial"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// stuck is when anything is called hanging.
const stuck = time.Minute

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), stuck)
	t.Cleanup(cancel)
	return ctx
}

// settings are such that nothing is full.
var settings = protocol.Settings{MaxFrame: 32 << 20, MaxPending: 1 << 20, MaxBytes: 1 << 30}

func spawnStore(t testing.TB, s protocol.Settings) protocol.Store {
	st, err := Protocol{}.Spawn(within(t), filepath.Join(trial.Place(t, Name), "s"), s)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	return st
}

func connect(t testing.TB, st protocol.Store, id string, mode protocol.Mode) *mailbox {
	m, err := st.Connect(within(t), protocol.ConnectOptions{ID: id, Mode: mode, Notice: func(err error) { t.Log(err) }})
	require.NoError(t, err)
	return m.(*mailbox)
}

// letters are frames that say their numbers, of at least size bytes.
func letters(first, n, size int) []protocol.Frame {
	frames := make([]protocol.Frame, n)
	for i := range frames {
		data := fmt.Appendf(nil, "%d ", first+i)
		for len(data) < size {
			data = append(data, byte(first+i+len(data)))
		}
		frames[i].Data = data
	}
	return frames
}

func deliver(t testing.TB, m *mailbox, to string, frames []protocol.Frame) {
	t.Helper()
	n, err := m.Deliver(within(t), to, frames, true)
	require.NoError(t, err)
	require.Len(t, frames, n)
}

// fetch fetches n messages at least, and checks that they are those from first
// on.
func fetch(t testing.TB, m *mailbox, first, n, size int) []protocol.Delivery {
	t.Helper()
	var all []protocol.Delivery
	for len(all) < n {
		ds := make([]protocol.Delivery, n-len(all))
		got, err := m.Fetch(within(t), ds, true)
		require.NoError(t, err)
		all = append(all, ds[:got]...)
	}
	for i, want := range letters(first, n, size) {
		require.Equal(t, want.Data, all[i].Data, "message %d", first+i)
	}
	return all
}

func empty(t testing.TB, m *mailbox) {
	t.Helper()
	n, err := m.Fetch(within(t), make([]protocol.Delivery, 1), false)
	require.NoError(t, err)
	require.Zero(t, n)
}

func ack(t testing.TB, m *mailbox, ds ...protocol.Delivery) {
	t.Helper()
	require.NoError(t, m.Ack(within(t), ds))
}

// ringsOf are the paths of a mailbox's rings.
func ringsOf(t testing.TB, m *mailbox) []string {
	t.Helper()
	paths, err := listRings(m.box)
	require.NoError(t, err)
	return paths
}
