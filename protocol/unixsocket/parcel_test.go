//go:build unix

package unixsocket

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// Goroutines deliver to one peer through a socket that holds little, so that
// their frames share writes which end anywhere. Some do not wait, and some are
// called off. Exactly what they were told to be accepted arrives, in order.
func TestDeliveriesThatShareWrites(t *testing.T) {
	const senders, rounds = 16, 150
	s := spawned(t, func(set *protocol.Settings) { set.MaxPending = 40 })
	reader, _ := joined(t, s, "a")
	m, _ := joined(t, s, "b")
	send(t, m, "a", "first")
	fetched(t, reader, 1)
	require.NoError(t, unix.SetsockoptInt(m.links["a"].conn.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 4096))

	ctx := within(t)
	var accepted [senders][]uint64
	var group sync.WaitGroup
	for i := range senders {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 0))
			for round := range rounds {
				fs := make([]protocol.Frame, 1+random.IntN(4))
				for j := range fs {
					size := 16 + random.IntN(6000)
					if random.IntN(200) == 0 {
						size *= 100
					}
					data := bytes.Repeat([]byte{byte(i)}, size)
					binary.BigEndian.PutUint64(data[8:], uint64(round*10+j))
					fs[j].Data = data
				}
				once, cancel := context.WithCancel(ctx)
				if random.IntN(4) == 0 {
					go cancel()
				}
				n, err := m.Deliver(once, "a", fs, random.IntN(4) > 0)
				cancel()
				if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, protocol.ErrFull) {
					t.Error(err)
				}
				if (n < len(fs)) != (err != nil) {
					t.Errorf("%d of %d are accepted: %v", n, len(fs), err)
				}
				for j := range n {
					accepted[i] = append(accepted[i], uint64(round*10+j))
				}
			}
		})
	}
	done := make(chan struct{})
	go func() {
		group.Wait()
		_, err := m.Deliver(ctx, "a", frames("last"), true)
		require.NoError(t, err)
		close(done)
	}()
	var arrived [senders][]uint64
	ds := make([]protocol.Delivery, 64)
	for last := false; !last; {
		n, err := reader.Fetch(ctx, ds, true)
		require.NoError(t, err)
		for _, d := range ds[:n] {
			if last = string(d.Data) == "last"; last {
				break
			}
			require.Equal(t, len(d.Data)-16, bytes.Count(d.Data[16:], d.Data[:1]), "damaged")
			arrived[d.Data[0]] = append(arrived[d.Data[0]], binary.BigEndian.Uint64(d.Data[8:]))
		}
		require.NoError(t, reader.Ack(ctx, ds[:n]))
	}
	<-done
	require.Equal(t, accepted, arrived)
}
