package bbolt

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/stretchr/testify/require"
)

func newMarks(t testing.TB) *marks {
	t.Helper()
	box := t.TempDir()
	require.NoError(t, makeMarks(box))
	m, err := openMarks(box)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return m
}

// Receipts say what was acknowledged and nothing else, in whatever order that
// was. What is undone, or finds no room, leaves what there was.
func TestReceipts(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		m := newMarks(t)
		want := map[uint64]bool{}
		todo := random.Perm(2000)
		for len(todo) > 0 {
			k := min(len(todo), 1+random.IntN(10))
			var ns []uint64
			for _, n := range todo[:k] {
				ns = append(ns, uint64(n)/uint64(1+random.IntN(2))+1)
			}
			todo = todo[k:]
			undo, ok := m.acknowledge(slices.Clone(ns))
			if ok && random.IntN(10) == 0 {
				undo()
			} else if ok {
				for _, n := range ns {
					want[n] = true
				}
			}
			got := m.acknowledged()
			for n := range uint64(2100) {
				if got.have(n) != want[n] {
					t.Fatalf("of message %d: %v", n, got.have(n))
				}
			}
			if !ok {
				break
			}
		}
	}
}

// Those that follow each other take one word, up to what it has room for.
func TestReceiptsInOrderTakeLittleRoom(t *testing.T) {
	m := newMarks(t)
	const each, all = 1000, 300_000
	for n := uint64(1); n <= all; n += each {
		var ns []uint64
		for i := range uint64(each) {
			ns = append(ns, n+i)
		}
		_, ok := m.acknowledge(ns)
		require.True(t, ok)
	}
	require.Equal(t, spans{{1, all}}, m.acknowledged())
	require.Equal(t, all>>runBits+1, m.countReceipts())
	_, ok := m.acknowledge([]uint64{maxNumber})
	require.True(t, ok)
	require.True(t, m.acknowledged().have(maxNumber))
}

func init() { roles["scatter"] = scatter }

// scatter fetches all messages, acknowledges every second one, one by one, and
// waits: ROUTE.
func scatter(args []string) error {
	ctx := context.Background()
	s, err := Protocol{}.Open(ctx, args[0])
	if err != nil {
		return err
	}
	m, err := s.Connect(ctx, protocol.ConnectOptions{ID: "b", Mode: protocol.Resume})
	if err != nil {
		return err
	}
	ds := make([]protocol.Delivery, 10_000)
	n, err := m.Fetch(ctx, ds, true)
	if err != nil {
		return err
	}
	for i := 1; i < n; i += 2 {
		if err := m.Ack(ctx, ds[i:i+1]); err != nil {
			return err
		}
	}
	fmt.Println("done")
	fmt.Scanln()
	return nil
}

// However many are acknowledged out of order, none of them comes again after a
// kill, and all others do: also when there is no room for more receipts, and
// messages that were accepted together are parted.
func TestAckInAnyOrder(t *testing.T) {
	for _, durable := range []bool{false, true} {
		t.Run(fmt.Sprintf("sync=%v", durable), func(t *testing.T) {
			s := spawn(t, durable)
			a := connect(t, s, "a", protocol.New)
			b := connect(t, s, "b", protocol.New)
			const count = 3 * maxReceipts
			var all, want []string
			for i := range count {
				all = append(all, fmt.Sprintf("%d %0100d", i, 0))
				if i%2 == 0 {
					want = append(want, all[i]+"*")
				}
			}
			deliver(t, a, "b", all...)
			require.NoError(t, b.Leave(t.Context(), protocol.Departure{Suspend: true}))
			c := start(t, "scatter", s.Route())
			c.says()
			n, err := s.Unread(t.Context(), "b")
			require.NoError(t, err)
			require.Len(t, want, n)
			c.kill()
			b = connect(t, s, "b", protocol.Reconnect)
			messages, _ := b.keeper.Pending()
			require.Len(t, want, messages)
			require.Zero(t, b.own.marks.countReceipts())
			_, got := fetch(t, b, count)
			require.Equal(t, want, got)
		})
	}
}

// Who sends deletes what is acknowledged, although one message is held for ever.
func TestSendersDelete(t *testing.T) {
	s := spawn(t, false)
	a := connect(t, s, "a", protocol.New)
	b := connect(t, s, "b", protocol.New)
	deliver(t, a, "b", "held")
	_, got := fetch(t, b, 1)
	require.Equal(t, []string{"held"}, got)
	for range 20 {
		for range stride / 2 {
			deliver(t, a, "b", "x", "y")
			deliver(t, a, "b", "z")
		}
		ds, _ := fetch(t, b, 10*stride)
		require.NoError(t, b.Ack(t.Context(), ds))
	}
	a.peers["b"].file.rest()
	require.LessOrEqual(t, len(contents(t, b.own)), 1+4*stride)
	require.Equal(t, "held", contents(t, b.own)[0])
}

// A power cut may take a message from the file whose receipt is on disk, and how
// far it was handed out. Neither is then said of the next message.
func TestReceiptOfAMessageThatIsGone(t *testing.T) {
	s := spawn(t, false)
	a := connect(t, s, "a", protocol.New)
	b := connect(t, s, "b", protocol.New)
	deliver(t, a, "b", "one")
	ds, _ := fetch(t, b, 1)
	require.NoError(t, b.Ack(t.Context(), ds))
	b.own.marks.Store(handed, ds[0].Tag+2)
	_, ok := b.own.marks.acknowledge([]uint64{ds[0].Tag + 1})
	require.True(t, ok)
	b.abandon()
	deliver(t, a, "b", "two", "three", "four")
	b = connect(t, s, "b", protocol.Reconnect)
	_, got := fetch(t, b, 3)
	require.Equal(t, []string{"two", "three", "four"}, got, "a star says that it was marked")
}
