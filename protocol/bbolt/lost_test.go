package bbolt

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/stretchr/testify/require"
)

// endings are how a holder may leave its mailbox to a successor.
var endings = map[string]func(*testing.T, *mailbox){
	"suspended": func(t *testing.T, m *mailbox) {
		require.NoError(t, m.Leave(t.Context(), protocol.Departure{Suspend: true}))
	},
	"crashed": func(_ *testing.T, m *mailbox) { m.abandon() },
}

// Where the words are lost, and with them what was handed out and what was
// acknowledged, each message may have been: all are marked.
func TestLostMarks(t *testing.T) {
	for what, end := range endings {
		t.Run(what, func(t *testing.T) {
			s := spawn(t, false)
			a := connect(t, s, "a", protocol.New)
			b := connect(t, s, "b", protocol.New)
			deliver(t, a, "b", "1", "2", "3")
			ds, _ := fetch(t, b, 2)
			require.NoError(t, b.Ack(t.Context(), ds[:1]))
			box := b.own.box
			end(t, b)
			require.NoError(t, os.Remove(filepath.Join(box, marksName)))

			b = connect(t, s, "b", protocol.Reconnect)
			ds, got := fetch(t, b, 10)
			require.Equal(t, []string{"1*", "2*", "3*"}, got)
			require.NoError(t, b.Ack(t.Context(), ds))
			deliver(t, a, "b", "4")
			_, got = fetch(t, b, 10)
			require.Equal(t, []string{"4"}, got)
		})
	}
}

// Where the record is lost, the mailbox is that of a client that crashed: what
// was accepted is there, also for one who does not ask for it, and that is told.
func TestLostRecord(t *testing.T) {
	for what, end := range endings {
		t.Run(what, func(t *testing.T) {
			for _, mode := range []protocol.Mode{protocol.New, protocol.Resume} {
				s := spawn(t, false)
				a := connect(t, s, "a", protocol.New)
				b := connect(t, s, "b", protocol.New)
				deliver(t, a, "b", "1", "2", "3")
				ds, _ := fetch(t, b, 2)
				require.NoError(t, b.Ack(t.Context(), ds[:1]))
				end(t, b)
				require.NoError(t, os.Remove(s.(*store).Path("peers", "b")))

				var told []error
				m, err := s.Connect(t.Context(), protocol.ConnectOptions{ID: "b", Mode: mode, Notice: func(err error) { told = append(told, err) }})
				require.NoError(t, err)
				require.Equal(t, protocol.Crashed, m.Found())
				require.Len(t, told, 1)
				require.ErrorContains(t, told[0], "the 2 messages in the mailbox are kept")
				want := []string{"2", "3"}
				if what == "crashed" {
					want[0] += "*" // it was handed out
				}
				_, got := fetch(t, m, 10)
				require.Equal(t, want, got)
				deliver(t, a, "b", "4")
				_, got = fetch(t, m, 10)
				require.Equal(t, []string{"4"}, got)
			}
		})
	}
}

// A mailbox without messages that nothing tells of is that of a client that was
// killed while it connected.
func TestLostRecordOfAnEmptyMailbox(t *testing.T) {
	s := spawn(t, false)
	connect(t, s, "b", protocol.New).abandon()
	require.NoError(t, os.Remove(s.(*store).Path("peers", "b")))
	b := connect(t, s, "b", protocol.New)
	require.Equal(t, protocol.Gone, b.Found())
	b.abandon()
	require.NoError(t, os.Remove(s.(*store).Path("peers", "b")))
	box := s.(*store).Box("b")
	require.NoError(t, os.RemoveAll(box))
	require.NoError(t, os.WriteFile(box, []byte("rubbish"), 0o600))
	b = connect(t, s, "b", protocol.New)
	require.Equal(t, protocol.Gone, b.Found())
	deliver(t, b, "b", "hello")
	_, got := fetch(t, b, 1)
	require.Equal(t, []string{"hello"}, got)
}
