//go:build linux && !ipcmgr_fallback

package shm

import (
	"context"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/protocol"
)

func init() {
	roles["sink"] = func(args []string) error { return receive(args[0], false) }
	roles["echo"] = func(args []string) error { return receive(args[0], true) }
}

// receive is the other process of a benchmark: it reads each payload, and
// answers each message or, as a sink, those of one byte.
func receive(route string, all bool) error {
	ctx := context.Background()
	st, err := Protocol{}.Open(ctx, route)
	if err != nil {
		return err
	}
	m, err := st.Connect(ctx, protocol.ConnectOptions{ID: "b"})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	ds := make([]protocol.Delivery, 256)
	for sum := uint32(0); ; {
		n, err := m.Fetch(ctx, ds, true)
		if err != nil {
			return err
		}
		for _, d := range ds[:n] {
			sum ^= crc32.ChecksumIEEE(d.Data)
			if !all && len(d.Data) > 1 {
				continue
			}
			if _, err := m.Deliver(ctx, "a", []protocol.Frame{{Data: d.Data}}, true); err != nil {
				return err
			}
		}
		if err := m.Ack(ctx, ds[:n]); err != nil {
			return err
		}
	}
}

// BenchmarkTwoProcesses is what the protocol alone costs between two processes,
// the payload read.
func BenchmarkTwoProcesses(b *testing.B) {
	for _, size := range []int{64, 1024} {
		for _, batch := range []int{1, 100} {
			b.Run(fmt.Sprintf("send/%d/%d", size, batch), func(b *testing.B) {
				a := benchPair(b, "sink")
				frames := letters(0, batch, size)
				b.SetBytes(int64(size))
				b.ResetTimer()
				for n := 0; n < b.N; n += batch {
					if _, err := a.Deliver(context.Background(), "b", frames, true); err != nil {
						b.Fatal(err)
					}
				}
				answer(b, a, letters(0, 1, 0)[0].Data[:1])
			})
		}
	}
	b.Run("roundtrip", func(b *testing.B) {
		a := benchPair(b, "echo")
		payload := letters(0, 1, 64)[0].Data
		b.ResetTimer()
		for range b.N {
			answer(b, a, payload)
		}
	})
}

func benchPair(b *testing.B, role string) *mailbox {
	st := spawnStore(b, protocol.Settings{MaxFrame: 16 << 20, MaxPending: 65536, MaxBytes: 64 << 20})
	a := connect(b, st, "a", protocol.New)
	cmd := exec.Command(os.Args[0], st.Route())
	cmd.Env = append(os.Environ(), roleVar+"="+role)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	var ready string
	_, err = fmt.Fscanln(out, &ready)
	require.NoError(b, err)
	return a
}

func answer(b *testing.B, a *mailbox, payload []byte) {
	var ds [1]protocol.Delivery
	if _, err := a.Deliver(context.Background(), "b", []protocol.Frame{{Data: payload}}, true); err != nil {
		b.Fatal(err)
	}
	if _, err := a.Fetch(context.Background(), ds[:], true); err != nil {
		b.Fatal(err)
	}
	if err := a.Ack(context.Background(), ds[:]); err != nil {
		b.Fatal(err)
	}
}
