package service_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/service"
)

// BenchmarkCall compares a call of 64 bytes over unixsocket, between two
// processes, with a ping-pong over a raw unix socket in the same run, alone and
// with 200 idle peers in the store. Both are the median of interleaved rounds.
//
//	go test -run '^$' -bench Call -benchtime 1x ./service
func BenchmarkCall(b *testing.B) {
	for _, idle := range []int{0, 200} {
		for _, workers := range []string{"1", "16"} {
			b.Run(fmt.Sprintf("idle=%d/workers=%s", idle, workers), func(b *testing.B) { benchCall(b, idle, workers) })
		}
	}
}

const (
	benchRounds = 7
	benchCalls  = 4000
	benchSize   = 64
)

func benchCall(b *testing.B, idle int, workers string) {
	st := spawn(b, ipcmgr.Config{Protocol: ipcmgr.Names{"unixsocket"}, Serializer: "msgpack"})
	for n := range idle {
		connect(b, st, fmt.Sprint("idle", n))
	}
	start(b, st, "bench-echo", "IPCMGR_WORKERS="+workers)
	require.NoError(b, st.WaitPeer(testContext(b), "svc"))
	c := caller(b, st, "me")
	path := filepath.Join(b.TempDir(), "s")
	raw := start(b, st, "bench-raw", "IPCMGR_SOCKET="+path)
	require.Equal(b, "ready", raw.line(b))
	conn, err := net.Dial("unix", path)
	require.NoError(b, err)
	defer conn.Close()

	payload := make([]byte, benchSize)
	ctx := context.Background()
	ours := func() {
		for n := range benchCalls {
			binary.LittleEndian.PutUint64(payload, uint64(n))
			got, err := service.Call[[]byte](ctx, c, "svc", "echo", payload)
			if err != nil || !slices.Equal(got, payload) {
				b.Fatal(got, err)
			}
		}
	}
	frame, answer := make([]byte, 4+benchSize), make([]byte, 4+benchSize)
	binary.BigEndian.PutUint32(frame, benchSize)
	theirs := func() {
		for n := range benchCalls {
			binary.LittleEndian.PutUint64(frame[4:], uint64(n))
			if _, err := conn.Write(frame); err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadFull(conn, answer); err != nil || !slices.Equal(frame, answer) {
				b.Fatal(answer, err)
			}
		}
	}
	var times [2][]time.Duration
	for range benchRounds {
		for i, f := range []func(){theirs, ours} {
			began := time.Now()
			f()
			times[i] = append(times[i], time.Since(began)/benchCalls)
		}
	}
	for i := range times {
		slices.Sort(times[i])
	}
	r, o := times[0][benchRounds/2], times[1][benchRounds/2]
	b.ReportMetric(float64(r.Nanoseconds()), "raw-ns/trip")
	b.ReportMetric(float64(o.Nanoseconds()), "call-ns/trip")
	b.ReportMetric(float64(o)/float64(r), "ratio")
	b.ReportMetric(0, "ns/op")
}

// playBenchRaw is a ping-pong as a program would write it by hand.
func playBenchRaw(path string) error {
	l, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	conn, err := l.Accept()
	if err != nil {
		return err
	}
	in := bufio.NewReader(conn)
	frame := make([]byte, 4+benchSize)
	for {
		if _, err := io.ReadFull(in, frame[:4]); err != nil {
			return nil
		}
		if _, err := io.ReadFull(in, frame[4:4+binary.BigEndian.Uint32(frame)]); err != nil {
			return err
		}
		if _, err := conn.Write(frame); err != nil {
			return err
		}
	}
}
