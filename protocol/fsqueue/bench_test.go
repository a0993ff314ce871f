package fsqueue_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/fsnotify/fsnotify"
	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/ipcmgr/ipcmgr/protocol/fsqueue"
)

const benchSize = 1 << 10

// payload writes the nth message, which says that it is.
func payload(b []byte, n uint64) {
	binary.LittleEndian.PutUint64(b[4:], n)
	binary.LittleEndian.PutUint32(b, crc32.ChecksumIEEE(b[4:]))
}

func check(b []byte, n uint64) error {
	if len(b) != benchSize || binary.LittleEndian.Uint64(b[4:]) != n || binary.LittleEndian.Uint32(b) != crc32.ChecksumIEEE(b[4:]) {
		return fmt.Errorf("message %d is wrong", n)
	}
	return nil
}

func init() {
	// send ROUTE BATCH: connects, and sends as many messages as a line says.
	acts["send"] = func(ctx context.Context, args []string, in *bufio.Reader, out io.Writer) error {
		st, err := fsqueue.Protocol{}.Open(ctx, args[0])
		if err != nil {
			return err
		}
		m, err := st.Connect(ctx, protocol.ConnectOptions{ID: "sender"})
		if err != nil {
			return err
		}
		batch, _ := strconv.Atoi(args[1])
		fs := make([]protocol.Frame, batch)
		for i := range fs {
			fs[i].Data = make([]byte, benchSize)
		}
		return sendAsked(in, out, func(n uint64) error {
			for i := uint64(0); i < n; i += uint64(batch) {
				now := fs[:min(uint64(batch), n-i)]
				for j := range now {
					payload(now[j].Data, i+uint64(j))
				}
				if _, err := m.Deliver(ctx, "receiver", now, true); err != nil {
					return err
				}
			}
			return nil
		})
	}
	// hand DIR: the same with nothing but the package os.
	acts["hand"] = func(ctx context.Context, args []string, in *bufio.Reader, out io.Writer) error {
		b := make([]byte, benchSize)
		return sendAsked(in, out, func(n uint64) error {
			for i := range n {
				payload(b, i)
				name := filepath.Join(args[0], fmt.Sprintf("%016x", i))
				if err := os.WriteFile(name+".tmp", b, 0o600); err != nil {
					return err
				}
				if err := os.Rename(name+".tmp", name); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

func sendAsked(in *bufio.Reader, out io.Writer, send func(n uint64) error) error {
	for {
		fmt.Fprintln(out, "ready")
		line, err := in.ReadString('\n')
		if err != nil {
			return nil
		}
		n, err := strconv.ParseUint(strings.TrimSpace(line), 10, 64)
		if err != nil {
			return err
		}
		if err := send(n); err != nil {
			return err
		}
	}
}

// BenchmarkOneWay is a process that sends to another, which checks each message
// and acknowledges it.
//
// Set TMPDIR to compare: an ext4 without a journal does not reuse an inode for
// five seconds, and spends them looking for others, so that each row pays for
// the files that the one before it has deleted.
func BenchmarkOneWay(b *testing.B) {
	b.Run("hand", func(b *testing.B) {
		dir := b.TempDir()
		w, err := fsnotify.NewWatcher()
		require.NoError(b, err)
		defer w.Close()
		require.NoError(b, w.Add(dir))
		p := start(b, "hand", dir)
		p.hear()
		b.SetBytes(benchSize)
		b.ResetTimer()
		p.say(strconv.Itoa(b.N))
		waiting := map[uint64]bool{}
		for next := 0; next < b.N; {
			entries, err := os.ReadDir(dir)
			require.NoError(b, err)
			for _, e := range entries {
				if !strings.HasSuffix(e.Name(), ".tmp") {
					n, err := strconv.ParseUint(e.Name(), 16, 64)
					require.NoError(b, err)
					waiting[n] = true
				}
			}
			before := next
			for ; waiting[uint64(next)]; next++ {
				delete(waiting, uint64(next))
				name := filepath.Join(dir, fmt.Sprintf("%016x", next))
				data, err := os.ReadFile(name)
				require.NoError(b, err)
				if err := check(data, uint64(next)); err != nil {
					b.Fatal(err)
				}
				require.NoError(b, os.Remove(name))
			}
			if next == before {
				<-w.Events
			}
		}
	})
	for _, sync := range []bool{false, true} {
		for _, batch := range []int{1, 100} {
			b.Run(fmt.Sprintf("send/sync=%v/batch=%d", sync, batch), func(b *testing.B) {
				s := settings()
				s.Sync = sync
				st := spawn(b, s)
				m := connect(b, st, "receiver", protocol.New)
				p := start(b, "send", st.Route(), strconv.Itoa(batch))
				p.hear()
				ds := make([]protocol.Delivery, 256)
				b.SetBytes(benchSize)
				b.ReportAllocs()
				b.ResetTimer()
				p.say(strconv.Itoa(b.N))
				for got := 0; got < b.N; {
					n, err := m.Fetch(b.Context(), ds, true)
					require.NoError(b, err)
					for i := range n {
						if err := check(ds[i].Data, uint64(got+i)); err != nil {
							b.Fatal(err)
						}
					}
					require.NoError(b, m.Ack(b.Context(), ds[:n]))
					got += n
				}
			})
		}
	}
}

// BenchmarkSelf is a client that sends to itself, beside peers that do nothing:
// what a message costs without a second process, and in allocations.
func BenchmarkSelf(b *testing.B) {
	for _, idle := range []int{0, 10, 100, 500} {
		for _, batch := range []int{1, 100} {
			b.Run(fmt.Sprintf("idle=%d/batch=%d", idle, batch), func(b *testing.B) {
				st := spawn(b, settings())
				m := connect(b, st, "self", protocol.New)
				for i := range idle {
					peer := connect(b, st, fmt.Sprintf("idle-%d", i), protocol.New)
					send(b, peer, "self", "I am here")
				}
				require.NoError(b, m.Ack(b.Context(), ready(b, m)))
				fs := make([]protocol.Frame, batch)
				for i := range fs {
					fs[i].Data = make([]byte, benchSize)
				}
				ds := make([]protocol.Delivery, 256)
				b.SetBytes(benchSize)
				b.ReportAllocs()
				b.ResetTimer()
				for sent := 0; sent < b.N; sent += batch {
					_, err := m.Deliver(b.Context(), "self", fs, true)
					require.NoError(b, err)
					n, err := m.Fetch(b.Context(), ds, true)
					require.NoError(b, err)
					require.NoError(b, m.Ack(b.Context(), ds[:n]))
				}
			})
		}
	}
}

// BenchmarkRoundTrip is a message to another process and back.
func BenchmarkRoundTrip(b *testing.B) {
	st := spawn(b, settings())
	m := connect(b, st, "receiver", protocol.New)
	p := start(b, "echo", st.Route())
	p.hear()
	data := make([]byte, benchSize)
	ds := make([]protocol.Delivery, 1)
	for i := uint64(0); b.Loop(); i++ {
		payload(data, i)
		_, err := m.Deliver(b.Context(), "echo", []protocol.Frame{{Data: data}}, true)
		require.NoError(b, err)
		n, err := m.Fetch(b.Context(), ds, true)
		require.NoError(b, err)
		require.NoError(b, check(ds[0].Data, i))
		require.NoError(b, m.Ack(b.Context(), ds[:n]))
	}
}

func init() {
	// echo ROUTE: sends back what it gets.
	acts["echo"] = func(ctx context.Context, args []string, in *bufio.Reader, out io.Writer) error {
		st, err := fsqueue.Protocol{}.Open(ctx, args[0])
		if err != nil {
			return err
		}
		m, err := st.Connect(ctx, protocol.ConnectOptions{ID: "echo"})
		if err != nil {
			return err
		}
		fmt.Fprintln(out, "ready")
		ds := make([]protocol.Delivery, 16)
		for {
			n, err := m.Fetch(ctx, ds, true)
			if err != nil {
				return err
			}
			for _, d := range ds[:n] {
				if _, err := m.Deliver(ctx, "receiver", []protocol.Frame{{Data: slices.Clone(d.Data)}}, true); err != nil {
					return err
				}
			}
			if err := m.Ack(ctx, ds[:n]); err != nil {
				return err
			}
		}
	}
}
