//go:build linux && !ipcmgr_fallback

package shm

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// spaceOf is what the rings of a mailbox take, in bytes.
func spaceOf(t testing.TB, m *mailbox) (n int64) {
	t.Helper()
	for _, path := range ringsOf(t, m) {
		info, err := os.Stat(path)
		require.NoError(t, err)
		n += info.Size()
	}
	return n
}

// A ring grows with what is not read, up to the mailbox's limit, and is given
// back afterwards.
func TestRingsGrowAndShrink(t *testing.T) {
	st := spawnStore(t, settings)
	a, b := connect(t, st, "a", protocol.New), connect(t, st, "b", protocol.New)
	deliver(t, a, "b", letters(0, 1, 100))
	require.Equal(t, int64(pageSize+minRoom), spaceOf(t, b), "a pair that has little to say costs little")
	const n = 3000
	deliver(t, a, "b", letters(1, n, 2000))
	require.Greater(t, spaceOf(t, b), int64(n*2000))
	unread, err := st.Unread(within(t), "b")
	require.NoError(t, err)
	require.Equal(t, 1+n, unread)
	ack(t, b, fetch(t, b, 0, 1, 100)...)
	for i := 1; i <= n; i += 100 {
		ack(t, b, fetch(t, b, i, 100, 2000)...)
	}
	for range 2 * lull {
		deliver(t, a, "b", letters(0, 1, 100))
		ack(t, b, fetch(t, b, 0, 1, 100)...)
	}
	empty(t, b)
	require.Equal(t, int64(pageSize+minRoom), spaceOf(t, b))
}

// A message that stays in hand keeps one ring, however many come after it.
func TestMessageInHand(t *testing.T) {
	st := spawnStore(t, settings)
	a, b := connect(t, st, "a", protocol.New), connect(t, st, "b", protocol.New)
	deliver(t, a, "b", letters(0, 1, 1000))
	held := fetch(t, b, 0, 1, 1000)
	most := int64(0)
	for i := range 20_000 {
		deliver(t, a, "b", letters(1+i, 1, 1000))
		ack(t, b, fetch(t, b, 1+i, 1, 1000)...)
		most = max(most, spaceOf(t, b))
	}
	require.Less(t, most, int64(1<<20))
	require.Equal(t, letters(0, 1, 1000)[0].Data, held[0].Data)
	ack(t, b, held...)
	empty(t, b)
	require.Len(t, ringsOf(t, b), 1)
}

// Messages of any size pass, among small ones and in batches. All of them fit
// where there is little memory, as in a container.
func TestLargeMessages(t *testing.T) {
	st := spawnStore(t, settings)
	a, b := connect(t, st, "a", protocol.New), connect(t, st, "b", protocol.New)
	for i, size := range []int{0, 1, 4000, 4096, 1 << 20, 10, 4<<20 - 100, 10} {
		deliver(t, a, "b", letters(i, 2, size))
		ack(t, b, fetch(t, b, i, 2, size)...)
	}
	_, err := a.Deliver(within(t), "b", []protocol.Frame{{Data: make([]byte, 32<<20+1)}}, true)
	require.ErrorIs(t, err, protocol.ErrTooLarge)
}

// What is acknowledged in any order never comes again, and what is not does,
// marked, to who takes the mailbox up after a crash.
func TestAcknowledgedOutOfOrder(t *testing.T) {
	st := spawnStore(t, settings)
	a, b := connect(t, st, "a", protocol.New), connect(t, st, "b", protocol.New)
	deliver(t, a, "b", letters(0, 100, 300))
	ds := fetch(t, b, 0, 80, 300)
	for i, d := range ds {
		if i%3 != 0 {
			ack(t, b, d)
		}
	}
	b.abandon()
	b = connect(t, st, "b", protocol.Reconnect)
	for i := range 100 {
		if i < 80 && i%3 != 0 {
			continue
		}
		d := fetch(t, b, i, 1, 300)[0]
		require.Equal(t, i < 80, d.Redelivered, "message %d", i)
		ack(t, b, d)
	}
	empty(t, b)
}

// A thousand clients that each have said a little to one cost it little, and
// nothing when it has read that. They leave: one process has no descriptors for
// them all.
func TestThousandClients(t *testing.T) {
	const clients = 1000
	st := spawnStore(t, settings)
	b := connect(t, st, "b", protocol.New)
	for i := range clients {
		a := connect(t, st, fmt.Sprint("a", i), protocol.New)
		deliver(t, a, "b", letters(7, 1, 100))
		require.NoError(t, a.Leave(within(t), protocol.Departure{}))
	}
	require.Equal(t, int64(clients*(pageSize+minRoom)), spaceOf(t, b))
	for range clients {
		ack(t, b, fetch(t, b, 7, 1, 100)...)
	}
	empty(t, b)
	require.Empty(t, ringsOf(t, b))
}

// To send and to receive allocates nothing.
func TestAllocations(t *testing.T) {
	st := spawnStore(t, settings)
	a, b := connect(t, st, "a", protocol.New), connect(t, st, "b", protocol.New)
	frames, ds := letters(0, 10, 100), make([]protocol.Delivery, 10)
	ctx := t.Context()
	allocs := testing.AllocsPerRun(1000, func() {
		if n, err := a.Deliver(ctx, "b", frames, true); n != 10 || err != nil {
			t.Fatal(n, err)
		}
		if n, err := b.Fetch(ctx, ds, true); n != 10 || err != nil {
			t.Fatal(n, err)
		}
		if err := b.Ack(ctx, ds); err != nil {
			t.Fatal(err)
		}
	})
	require.Zero(t, allocs)
}
