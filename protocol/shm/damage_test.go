//go:build linux && !ipcmgr_fallback

package shm

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// What is no record in a ring is handed out like one, and can be no message. All
// messages before and after it arrive, whatever its length is and however many
// there are, and the ring is used as before.
func TestDamagedRecords(t *testing.T) {
	for name, damage := range map[string]func(word uint64) uint64{
		"no mark":   func(uint64) uint64 { return 0x0807060504030201 },
		"zeros":     func(uint64) uint64 { return 0 },
		"too long":  func(w uint64) uint64 { return w + 1<<31 },
		"too short": func(w uint64) uint64 { return w - 64 },
	} {
		t.Run(name, func(t *testing.T) {
			st := spawnStore(t, settings)
			a, b := connect(t, st, "a", protocol.New), connect(t, st, "b", protocol.New)
			deliver(t, a, "b", letters(0, 10, 100))
			held := fetch(t, b, 0, 1, 100)
			ring := ringsWith(t, b, "a")
			for _, n := range []uint64{3, 6, 7, 9} {
				overwrite(t, ring[0], n*span(100), damage)
			}
			unread, err := st.Unread(within(t), "b")
			require.NoError(t, err)
			require.Greater(t, unread, 6)

			var good, bad []string
			for len(good) < 5 || len(bad) < 3 {
				d := one(t, b)
				text, _, _ := strings.Cut(string(d.Data), " ")
				if len(d.Data) == 100 && text != "" {
					good = append(good, text)
					ack(t, b, d)
					continue
				}
				bad = append(bad, text)
				require.NoError(t, b.Reject(within(t), d, errors.New("garbage")))
			}
			require.Equal(t, []string{"1", "2", "4", "5", "8"}, good)
			ack(t, b, held...)
			deliver(t, a, "b", letters(10, 10, 100))
			for next := one(t, b); ; next = one(t, b) {
				ack(t, b, next)
				if text, _, _ := strings.Cut(string(next.Data), " "); text == "19" {
					break
				}
			}
			empty(t, b)
			require.Equal(t, ring, ringsWith(t, b, "a"))
			msgs, bytes := b.keeper.Pending()
			require.Zero(t, msgs)
			require.Zero(t, bytes)
		})
	}
}

// overwrite changes the word of the record at a position of a ring.
func overwrite(t testing.TB, path string, pos uint64, change func(uint64) uint64) {
	t.Helper()
	r, err := openRing(path)
	require.NoError(t, err)
	defer r.unmap()
	r.at(pos).Store(change(r.at(pos).Load()))
}

// one fetches one delivery.
func one(t testing.TB, m *mailbox) protocol.Delivery {
	t.Helper()
	ds := make([]protocol.Delivery, 1)
	n, err := m.Fetch(within(t), ds, true)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	return ds[0]
}

// Damage is damage to the next holder, too, and what was acknowledged in spite of
// it never comes again.
func TestDamageIsTakenUp(t *testing.T) {
	st := spawnStore(t, settings)
	a, b := connect(t, st, "a", protocol.New), connect(t, st, "b", protocol.New)
	deliver(t, a, "b", letters(0, 4, 100))
	overwrite(t, ringsWith(t, b, "a")[0], span(100), func(uint64) uint64 { return 1 })
	first, bad := one(t, b), one(t, b)
	b.abandon()
	b = connect(t, st, "b", protocol.Reconnect)
	require.Equal(t, first.Data, one(t, b).Data)
	again := one(t, b)
	require.Equal(t, bad.Data, again.Data)
	require.True(t, again.Redelivered)
	require.NoError(t, b.Reject(within(t), again, errors.New("garbage")))
	b.abandon()
	b = connect(t, st, "b", protocol.Reconnect)
	ack(t, b, fetch(t, b, 0, 1, 100)...)
	ack(t, b, fetch(t, b, 2, 2, 100)...)
	empty(t, b)
}

// What was acknowledged is done with, whatever becomes of its record.
func TestDamageToWhatIsAcknowledged(t *testing.T) {
	st := spawnStore(t, settings)
	a, b := connect(t, st, "a", protocol.New), connect(t, st, "b", protocol.New)
	deliver(t, a, "b", letters(0, 3, 100))
	ds := fetch(t, b, 0, 3, 100)
	ack(t, b, ds[1])
	path := ringsWith(t, b, "a")[0]
	overwrite(t, path, span(100), func(uint64) uint64 { return 1 })
	ack(t, b, ds[0], ds[2])
	r, err := openRing(path)
	require.NoError(t, err)
	defer r.unmap()
	require.Equal(t, 3*span(100), r.head.Load())
}

// A ring whose tail lies is set aside, and its beginning handed out, so that it is
// counted. What was fetched before stays readable, and all goes on in another
// ring.
func TestBrokenRing(t *testing.T) {
	st := spawnStore(t, settings)
	a, b := connect(t, st, "a", protocol.New), connect(t, st, "b", protocol.New)
	other := connect(t, st, "other", protocol.New)
	deliver(t, a, "b", letters(0, 3, 100))
	held := fetch(t, b, 0, 3, 100)
	deliver(t, other, "b", letters(100, 1, 100))

	r, err := openRing(ringsWith(t, b, "a")[0])
	require.NoError(t, err)
	defer r.unmap()
	r.tail.Store(1 << 40)
	b.marks.set(slotOf("a"))

	ack(t, b, fetch(t, b, 100, 1, 100)...)
	told := one(t, b)
	require.Equal(t, "pmcring1", string(told.Data[:8]))
	require.NoError(t, b.Reject(within(t), told, errors.New("garbage")))
	empty(t, b)
	require.Empty(t, ringsWith(t, b, "a"))
	aside, err := filepath.Glob(filepath.Join(st.Route(), ".ipcmgr/corrupt/b/*"))
	require.NoError(t, err)
	require.Len(t, aside, 2, "the ring and the reason")
	reason, err := os.ReadFile(aside[1])
	require.NoError(t, err)
	require.Equal(t, "the ring is damaged: its tail is 1099511627776, at 336\n", string(reason))

	for i, d := range held {
		require.Equal(t, letters(i, 1, 100)[0].Data, d.Data)
	}
	ack(t, b, held...)
	deliver(t, a, "b", letters(0, 10, 100))
	ack(t, b, fetch(t, b, 0, 10, 100)...)
	msgs, bytes := b.keeper.Pending()
	require.Zero(t, msgs)
	require.Zero(t, bytes)
}

func ringsWith(t testing.TB, m *mailbox, key string) (paths []string) {
	t.Helper()
	for _, path := range ringsOf(t, m) {
		if name, err := parseRingName(filepath.Base(path)); err == nil && name.key == key {
			paths = append(paths, path)
		}
	}
	return paths
}

// Marks that are lost, and rubbish among the rings, keep nobody from taking the
// mailbox up, nor those who know the old marks from sending.
func TestLostMarks(t *testing.T) {
	st := spawnStore(t, settings)
	a, b := connect(t, st, "a", protocol.New), connect(t, st, "b", protocol.New)
	deliver(t, a, "b", letters(0, 1, 10))
	b.abandon()
	require.NoError(t, os.Truncate(filepath.Join(b.box, marksFile), 8*markWords)) // as it was
	require.NoError(t, os.Rename(filepath.Join(b.box, marksFile), filepath.Join(b.box, "lost")))
	require.NoError(t, os.WriteFile(filepath.Join(b.box, ringsDir, "rubbish"), []byte("rubbish"), 0o600))
	b = connect(t, st, "b", protocol.Reconnect)
	deliver(t, a, "b", letters(1, 1, 10))
	ack(t, b, fetch(t, b, 0, 2, 10)...)
	require.Equal(t, "rubbish", string(one(t, b).Data), "it is told like a message that is none")
	empty(t, b)
	require.NoFileExists(t, filepath.Join(b.box, ringsDir, "rubbish"))
}
