package ipcmgr_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ipcmgr/ipcmgr"
)

// These benchmarks compare a protocol with what a program would write by hand,
// in the same run: two processes, content of 1 KiB, every payload checked by
// the reader, the median of five interleaved rounds. Run them with
//
//	go test -run '^$' -bench Against -benchtime 1x .

const (
	benchSize   = 1 << 10
	benchRounds = 5
	benchPrefix = "bench " // of the role of a benchmark's other process
)

// payload writes message n into b, so that a reader can check it.
func payload(b []byte, n int) []byte {
	binary.LittleEndian.PutUint64(b[4:], uint64(n))
	binary.LittleEndian.PutUint32(b, crc32.ChecksumIEEE(b[4:]))
	return b
}

func verify(b []byte, n int) error {
	if len(b) != benchSize || binary.LittleEndian.Uint32(b) != crc32.ChecksumIEEE(b[4:]) {
		return fmt.Errorf("message %d is damaged", n)
	}
	if got := binary.LittleEndian.Uint64(b[4:]); got != uint64(n) {
		return fmt.Errorf("message %d came as %d", n, got)
	}
	return nil
}

// lane is one way of moving messages: run moves n and returns when the other
// process has checked them all.
type lane struct {
	run  func(n int) error
	stop func()
}

// against reports by how much ours is slower or faster than the hand-written
// raw, both moving n messages a round.
func against(b *testing.B, n int, raw, ours func(b *testing.B) lane) {
	r, o := raw(b), ours(b)
	defer r.stop()
	defer o.stop()
	var rawTimes, ourTimes []time.Duration
	for range benchRounds {
		for _, l := range []struct {
			lane
			times *[]time.Duration
		}{{r, &rawTimes}, {o, &ourTimes}} {
			start := time.Now()
			if err := l.run(n); err != nil {
				b.Fatal(err)
			}
			*l.times = append(*l.times, time.Since(start))
		}
	}
	slices.Sort(rawTimes)
	slices.Sort(ourTimes)
	raws, our := rawTimes[benchRounds/2], ourTimes[benchRounds/2]
	b.ReportMetric(float64(raws.Nanoseconds())/float64(n), "raw-ns/msg")
	b.ReportMetric(float64(our.Nanoseconds())/float64(n), "our-ns/msg")
	b.ReportMetric(float64(raws)/float64(our), "rate-ratio")
	b.ReportMetric(0, "ns/op")
}

func BenchmarkAgainstRaw(b *testing.B) {
	sync, noSync := new(true), new(false)
	b.Run("unixsocket/send", func(b *testing.B) { against(b, 100_000, rawStream(false), ourLane("unixsocket", nil, 1)) })
	b.Run("unixsocket/roundtrip", func(b *testing.B) { against(b, 20_000, rawStream(true), ourPing("unixsocket")) })
	b.Run("fsqueue/send", func(b *testing.B) { against(b, 20_000, rawFiles, ourLane("fsqueue", noSync, 1)) })
	b.Run("fsqueue/batch", func(b *testing.B) { against(b, 20_000, rawFiles, ourLane("fsqueue", noSync, 100)) })
	b.Run("bbolt/batch", func(b *testing.B) { against(b, 50_000, rawBolt(true), ourLane("bbolt", noSync, 100)) })
	b.Run("bbolt/batch-sync", func(b *testing.B) { against(b, 20_000, rawBolt(false), ourLane("bbolt", sync, 100)) })
}

// other starts this test binary as the other process of a benchmark, and
// returns a function that waits for a line of it.
func other(b *testing.B, store string, role ...string) (line func() (string, error), stop func()) {
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), roleEnv+"="+benchPrefix+strings.Join(role, " "), ipcmgr.EnvStore+"="+store)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	scanner := bufio.NewScanner(out)
	line = func() (string, error) {
		if !scanner.Scan() {
			return "", fmt.Errorf("the other process ended")
		}
		return scanner.Text(), nil
	}
	if _, err := line(); err != nil {
		b.Fatal(err)
	}
	return line, func() { in.Close(); cmd.Wait() }
}

// ourLane sends in batches of the given size to a reader in another process.
func ourLane(protocol string, sync *bool, batch int) func(b *testing.B) lane {
	return func(b *testing.B) lane {
		ctx := context.Background()
		s := spawnBench(b, protocol, sync)
		me, err := s.Connect(ctx, "me")
		if err != nil {
			b.Fatal(err)
		}
		line, stop := other(b, s.Info().String(), "sink")
		buf := make([]byte, batch*benchSize)
		contents := make([]any, batch)
		run := func(n int) error {
			for sent := 0; sent < n; sent += batch {
				for i := range contents {
					contents[i] = payload(buf[i*benchSize:(i+1)*benchSize], sent+i)
				}
				if _, err := me.SendBatch(ctx, "other", contents...); err != nil {
					return err
				}
			}
			if err := me.Send(ctx, "other", []byte(strconv.Itoa(n))); err != nil {
				return err
			}
			_, err := line()
			return err
		}
		if batch == 1 {
			run = func(n int) error {
				for i := range n {
					if err := me.Send(ctx, "other", payload(buf, i)); err != nil {
						return err
					}
				}
				if err := me.Send(ctx, "other", []byte(strconv.Itoa(n))); err != nil {
					return err
				}
				_, err := line()
				return err
			}
		}
		return lane{run, func() { stop(); s.Close() }}
	}
}

func ourPing(protocol string) func(b *testing.B) lane {
	return func(b *testing.B) lane {
		ctx := context.Background()
		s := spawnBench(b, protocol, nil)
		me, err := s.Connect(ctx, "me")
		if err != nil {
			b.Fatal(err)
		}
		_, stop := other(b, s.Info().String(), "echo")
		buf := make([]byte, benchSize)
		return lane{func(n int) error {
			var got []byte
			for i := range n {
				if err := me.Send(ctx, "other", payload(buf, i)); err != nil {
					return err
				}
				m, err := me.Receive(ctx)
				if err != nil {
					return err
				}
				if err := m.Decode(&got); err != nil {
					return err
				}
				if err := verify(got, i); err != nil {
					return err
				}
			}
			return nil
		}, func() { stop(); s.Close() }}
	}
}

func spawnBench(b *testing.B, protocol string, sync *bool) *ipcmgr.Store {
	b.Setenv("XDG_RUNTIME_DIR", b.TempDir())
	s, err := ipcmgr.Spawn(context.Background(), ipcmgr.Config{Protocol: ipcmgr.Names{protocol}, Serializer: "msgpack", Sync: sync})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// playBench is the other process of a benchmark.
func playBench(role []string) error {
	switch role[0] {
	case "raw-sink", "raw-echo":
		return playStream(role[0] == "raw-echo", role[1])
	case "raw-files":
		return playFiles(role[1])
	}
	ctx := context.Background()
	s, err := ipcmgr.Open(ctx, "")
	if err != nil {
		return err
	}
	c, err := s.Connect(ctx, "other")
	if err != nil {
		return err
	}
	fmt.Println("ready")
	ctx, cancel := context.WithCancel(ctx)
	go func() { io.Copy(io.Discard, os.Stdin); cancel() }()
	var got []byte
	next := 0
	for m, err := range c.Messages(ctx) {
		if err != nil {
			break // told to end
		}
		if err := m.Decode(&got); err != nil {
			return err
		}
		if role[0] == "echo" {
			if err := c.Send(ctx, m.From, got); err != nil {
				return err
			}
			continue
		}
		if len(got) != benchSize { // the count: the round is over
			if string(got) != strconv.Itoa(next) {
				return fmt.Errorf("%d of %s messages arrived", next, got)
			}
			next = 0
			fmt.Println("all")
			continue
		}
		if err := verify(got, next); err != nil {
			return err
		}
		next++
	}
	return c.Disconnect(context.Background(), nil)
}

// BenchmarkSendAndReceive counts the allocations of a message of 1 KiB, sent
// and received in one process.
func BenchmarkSendAndReceive(b *testing.B) {
	for _, p := range []string{"mem", "fsqueue", "unixsocket", "bbolt"} {
		b.Run(p, func(b *testing.B) {
			ctx := context.Background()
			s := spawnBench(b, p, new(false))
			defer s.Close()
			c, err := s.Connect(ctx, "c")
			if err != nil {
				b.Fatal(err)
			}
			content := any(make([]byte, benchSize))
			var got []byte
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Send(ctx, "c", content); err != nil {
					b.Fatal(err)
				}
				m, err := c.Receive(ctx)
				if err != nil {
					b.Fatal(err)
				}
				if err := m.Decode(&got); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
