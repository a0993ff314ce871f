//go:build unix

package unixsocket

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// Rows of ours stand beside rows by hand, between two processes, with messages
// of 1 KiB whose every byte is checked by the reader. The raw rows are what one
// would write without a library: buffered reading, and a write for each message
// or for a batch. The rows take turns, and the median of their rounds counts.
// Run them with
//
//	go test -run '^$' -bench . -benchtime 1x .
//
// and round trips under taskset, too, with BENCH_READER_CPU naming the reader's
// processor if it is to have one of its own.

const (
	benchSize   = 1024
	benchBatch  = 100
	benchRounds = 15
)

// benchText is a message: whose it is, its number there, and bytes that follow
// from that.
func benchText(b []byte, lane byte, number int) []byte {
	binary.BigEndian.PutUint64(b, uint64(number))
	b[0] = lane
	copy(b[8:], benchBytes[number%256:])
	return b
}

var benchBytes = func() []byte {
	b := make([]byte, benchSize+256)
	for i := range b {
		b[i] = byte(i * 7 % 251)
	}
	return b
}()

// wantsAnswer is set in the first byte of a message that is sent back.
const wantsAnswer = 0x80

// benchCheck holds what a reader has seen: the next number of each lane.
type benchCheck [wantsAnswer]int

// take checks a message and says whether it is to be answered.
func (c *benchCheck) take(b []byte) (answer bool) {
	lane := b[0] &^ wantsAnswer
	number := int(binary.BigEndian.Uint64(b) & (1<<56 - 1))
	if len(b) != benchSize || number != c[lane] || !bytes.Equal(b[8:], benchBytes[number%256:][:benchSize-8]) {
		panic(fmt.Sprintf("message %d of lane %d is damaged", c[lane], lane))
	}
	c[lane]++
	return b[0]&wantsAnswer != 0
}

// benchReader is the client "a".
func benchReader(ctx context.Context, route string) {
	s, err := Protocol{}.Open(ctx, route)
	if err != nil {
		panic(err)
	}
	m, err := s.Connect(ctx, options("a", protocol.New, nil))
	if err != nil {
		panic(err)
	}
	fmt.Println("ready")
	var check benchCheck
	ds := make([]protocol.Delivery, 256)
	for {
		n, err := m.Fetch(ctx, ds, true)
		if err != nil {
			return
		}
		for _, d := range ds[:n] {
			if d.From == "b" && check.take(d.Data) {
				m.Deliver(ctx, "b", []protocol.Frame{{Data: d.Data}}, true)
			}
		}
		m.Ack(ctx, ds[:n])
	}
}

// rawReader is the same by hand.
func rawReader(path string) {
	l, err := net.Listen("unix", path)
	if err != nil {
		panic(err)
	}
	fmt.Println("ready")
	c, err := l.Accept()
	if err != nil {
		panic(err)
	}
	r := bufio.NewReaderSize(c, slabSize)
	frame := make([]byte, headerSize+benchSize)
	var check benchCheck
	for {
		if _, err := io.ReadFull(r, frame); err != nil {
			return
		}
		if check.take(frame[headerSize:]) {
			c.Write(frame)
		}
	}
}

// crowd is idle clients that have sent one message to "a" each.
func crowd(ctx context.Context, route string, size int) {
	s, err := Protocol{}.Open(ctx, route)
	if err != nil {
		panic(err)
	}
	for i := range size {
		m, err := s.Connect(ctx, options("idle"+strconv.Itoa(i), protocol.New, nil))
		if err != nil {
			panic(err)
		}
		if _, err := m.Deliver(ctx, "a", frames("here"), true); err != nil {
			panic(err)
		}
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
}

// benchEnd is the sending side of a row.
type benchEnd struct {
	name   string
	lane   byte
	next   int
	batch  int
	data   [][]byte
	send   func(data [][]byte)
	answer func()
}

func (e *benchEnd) move(n int) {
	for left := n; left > 0; {
		k := min(max(e.batch, 1), left)
		for len(e.data) < k {
			e.data = append(e.data, make([]byte, benchSize))
		}
		for i := range k {
			benchText(e.data[i], e.lane, e.next)
			e.next++
		}
		if left -= k; left == 0 {
			e.data[k-1][0] |= wantsAnswer
		}
		e.send(e.data[:k])
	}
	e.answer()
}

func other(b *testing.B, role, route string) {
	cmd, says, _ := started(b, role, route)
	line(b, says)
	if cpu := os.Getenv("BENCH_READER_CPU"); cpu != "" {
		if out, err := exec.Command("taskset", "-a", "-c", "-p", cpu, strconv.Itoa(cmd.Process.Pid)).CombinedOutput(); err != nil {
			b.Fatal(string(out))
		}
	}
}

// ours is a row of a client with so many idle ones beside it, that sends in
// batches.
func ours(b *testing.B, name string, idle, batch int) *benchEnd {
	s := spawned(b)
	m, _ := joined(b, s, "b")
	other(b, "bench", s.Route())
	if idle > 0 {
		other(b, "crowd "+strconv.Itoa(idle), s.Route())
	}
	return end(b, name, m, 0, batch)
}

func end(b *testing.B, name string, m *Mailbox, lane byte, batch int) *benchEnd {
	ctx := context.Background()
	fs := make([]protocol.Frame, max(batch, 1))
	ds := make([]protocol.Delivery, 1)
	e := &benchEnd{name: name, lane: lane, batch: batch}
	e.send = func(data [][]byte) {
		for i, d := range data {
			fs[i].Data = d
		}
		if _, err := m.Deliver(ctx, "a", fs[:len(data)], true); err != nil {
			b.Fatal(err)
		}
	}
	e.answer = func() {
		n, err := m.Fetch(ctx, ds, true)
		if n != 1 || err != nil {
			b.Fatal(n, err)
		}
		m.Ack(ctx, ds)
	}
	return e
}

func byHand(b *testing.B, name string, batch int) *benchEnd {
	path := shortRoute(b)
	other(b, "raw", path)
	c, err := net.Dial("unix", path)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	r := bufio.NewReaderSize(c, slabSize)
	answer := make([]byte, headerSize+benchSize)
	var buf []byte
	return &benchEnd{
		name: name, batch: batch,
		send: func(data [][]byte) {
			buf = buf[:0]
			for _, d := range data {
				buf = append(binary.BigEndian.AppendUint32(buf, benchSize), d...)
			}
			if _, err := c.Write(buf); err != nil {
				b.Fatal(err)
			}
		},
		answer: func() {
			if _, err := io.ReadFull(r, answer); err != nil {
				b.Fatal(err)
			}
		},
	}
}

// report prints the medians of the rows, in nanoseconds, and by how much each
// is faster than the first.
func report(b *testing.B, what string, ends []*benchEnd, times [][]time.Duration) {
	b.ReportMetric(0, "ns/op")
	var first time.Duration
	for i, e := range ends {
		slices.Sort(times[i])
		median := times[i][len(times[i])/2]
		if i == 0 {
			first = median
		}
		b.Logf("%-12s %-16s %8d ns  × %.2f", what, e.name, median.Nanoseconds(), float64(first)/float64(median))
	}
}

func compareRates(b *testing.B, n int, ends ...*benchEnd) {
	times, cpu := make([][]time.Duration, len(ends)), make([][]time.Duration, len(ends))
	for round := range benchRounds + 1 {
		for i, e := range ends {
			used, start := busy(b), time.Now()
			e.move(n)
			if round > 0 { // the first one is to warm up
				times[i] = append(times[i], time.Since(start)/time.Duration(n))
				cpu[i] = append(cpu[i], (busy(b)-used)/time.Duration(n))
			}
		}
	}
	report(b, "time", ends, times)
	report(b, "sender's CPU", ends, cpu)
}

// busy is how long this process has kept processors busy.
func busy(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkSend(b *testing.B) {
	compareRates(b, 40_000,
		byHand(b, "raw", 1), ours(b, "ours", 0, 1),
		byHand(b, "raw batch", benchBatch), ours(b, "ours batch", 0, benchBatch))
}

func BenchmarkIdlePeers(b *testing.B) {
	compareRates(b, 20_000, ours(b, "none", 0, 1), ours(b, "10 idle", 10, 1), ours(b, "100 idle", 100, 1), ours(b, "500 idle", 500, 1))
}

func BenchmarkRoundTrip(b *testing.B) {
	ends := []*benchEnd{byHand(b, "raw", 1), ours(b, "ours", 0, 1), ours(b, "200 idle", 200, 1)}
	times := make([][]time.Duration, len(ends))
	for range 60 {
		for i, e := range ends {
			for range 300 {
				start := time.Now()
				e.move(1)
				times[i] = append(times[i], time.Since(start))
			}
		}
	}
	report(b, "time", ends, times)
}

// Goroutines of one client send to one peer.
func BenchmarkGoroutines(b *testing.B) {
	const each = 4000
	together := func(lanes int) *benchEnd {
		s := spawned(b)
		m, _ := joined(b, s, "b")
		other(b, "bench", s.Route())
		ends := make([]*benchEnd, lanes)
		for i := range ends {
			ends[i] = end(b, "", m, byte(i), 1)
		}
		answer := ends[0].answer
		var group sync.WaitGroup
		for _, e := range ends {
			e.answer = func() {}
		}
		return &benchEnd{name: fmt.Sprint(lanes, " goroutines"), answer: func() {}, send: func([][]byte) {
			for _, e := range ends {
				group.Go(func() { e.move(each / lanes) })
			}
			group.Wait()
			for range ends {
				answer()
			}
		}}
	}
	ends := []*benchEnd{together(1), together(2), together(8), together(64)}
	times := make([][]time.Duration, len(ends))
	for range benchRounds {
		for i, e := range ends {
			start := time.Now()
			e.move(1)
			times[i] = append(times[i], time.Since(start)/each)
		}
	}
	report(b, "time", ends, times)
}

// A message that is sent and received in one process.
func BenchmarkAllocations(b *testing.B) {
	s := spawned(b)
	from, _ := joined(b, s, "b")
	to, _ := joined(b, s, "a")
	ctx := context.Background()
	fs := []protocol.Frame{{Data: make([]byte, benchSize)}}
	ds := make([]protocol.Delivery, 256)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := from.Deliver(ctx, "a", fs, true); err != nil {
			b.Fatal(err)
		}
		n, err := to.Fetch(ctx, ds, true)
		if err != nil {
			b.Fatal(err)
		}
		to.Ack(ctx, ds[:n])
	}
}
