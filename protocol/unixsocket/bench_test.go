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
	"slices"
	"testing"
	"time"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// Each benchmark has a row of ours and a row by hand, between two processes,
// with messages of 1 KiB whose every byte is checked by the reader. The raw rows
// are what one would write without a library: a frame per write, buffered
// reading. Pin both with taskset to compare round trips.

const benchSize = 1024

// benchText is a message: a number and bytes that follow from it.
func benchText(b []byte, number int) []byte {
	binary.BigEndian.PutUint64(b, uint64(number))
	copy(b[8:], benchBytes[number%256:])
	return b
}

func benchCheck(b []byte, number int) error {
	if len(b) != benchSize || binary.BigEndian.Uint64(b) != uint64(number) || !bytes.Equal(b[8:], benchBytes[number%256:][:benchSize-8]) {
		return fmt.Errorf("message %d is damaged", number)
	}
	return nil
}

var benchBytes = func() []byte {
	b := make([]byte, benchSize+256)
	for i := range b {
		b[i] = byte(i * 7 % 251)
	}
	return b
}()

// benchReader is the client "a": it reads, checks, and answers on demand.
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
	ds := make([]protocol.Delivery, 256)
	for next := 0; ; {
		n, err := m.Fetch(ctx, ds, true)
		if err != nil {
			return
		}
		for _, d := range ds[:n] {
			ask := d.Data[0]&0x40 != 0
			d.Data[0] &^= 0x40
			if err := benchCheck(d.Data, next); err != nil {
				panic(err)
			}
			next++
			if ask {
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
	frame := make([]byte, 4+benchSize)
	for next := 0; ; next++ {
		if _, err := io.ReadFull(r, frame); err != nil {
			return
		}
		data := frame[4:]
		ask := data[0]&0x40 != 0
		data[0] &^= 0x40
		if err := benchCheck(data, next); err != nil {
			panic(err)
		}
		if ask {
			c.Write(frame)
		}
	}
}

// benchEnd is one side of a row: it sends a message, and reads an answer.
type benchEnd struct {
	send   func(data ...[]byte)
	answer func() []byte
}

func benchOurs(b *testing.B) benchEnd {
	s := spawned(b)
	m, _ := joined(b, s, "b")
	_, says, _ := started(b, "bench", s.Route())
	says.Scan()
	ctx := context.Background()
	fs := make([]protocol.Frame, 100)
	ds := make([]protocol.Delivery, 1)
	answer := make([]byte, benchSize)
	return benchEnd{
		send: func(data ...[]byte) {
			for i, d := range data {
				fs[i].Data = d
			}
			if _, err := m.Deliver(ctx, "a", fs[:len(data)], true); err != nil {
				b.Fatal(err)
			}
		},
		answer: func() []byte {
			n, err := m.Fetch(ctx, ds, true)
			if n != 1 || err != nil {
				b.Fatal(n, err)
			}
			copy(answer, ds[0].Data)
			m.Ack(ctx, ds)
			return answer
		},
	}
}

func benchRaw(b *testing.B) benchEnd {
	path := shortRoute(b)
	_, says, _ := started(b, "raw", path)
	says.Scan()
	c, err := net.Dial("unix", path)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	r := bufio.NewReaderSize(c, slabSize)
	frame := make([]byte, 4+benchSize)
	answer := make([]byte, 4+benchSize)
	return benchEnd{
		send: func(data ...[]byte) {
			for _, d := range data {
				binary.BigEndian.PutUint32(frame, uint32(len(d)))
				copy(frame[4:], d)
				if _, err := c.Write(frame); err != nil {
					b.Fatal(err)
				}
			}
		},
		answer: func() []byte {
			if _, err := io.ReadFull(r, answer); err != nil {
				b.Fatal(err)
			}
			return answer[4:]
		},
	}
}

// ask makes the message one that is answered.
func ask(data []byte) { data[0] |= 0x40 }

func benchRate(b *testing.B, end benchEnd, batch int) {
	data := make([][]byte, batch)
	for i := range data {
		data[i] = make([]byte, benchSize)
	}
	b.SetBytes(benchSize)
	b.ReportAllocs()
	b.ResetTimer()
	for next := 0; next < b.N; {
		n := min(batch, b.N-next)
		for i := range n {
			benchText(data[i], next+i)
		}
		next += n
		if next == b.N {
			ask(data[n-1])
		}
		end.send(data[:n]...)
	}
	if err := benchCheck(end.answer(), b.N-1); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkSend(b *testing.B) {
	b.Run("ours", func(b *testing.B) { benchRate(b, benchOurs(b), 1) })
	b.Run("raw", func(b *testing.B) { benchRate(b, benchRaw(b), 1) })
	b.Run("batch100", func(b *testing.B) { benchRate(b, benchOurs(b), 100) })
}

func BenchmarkRoundTrip(b *testing.B) {
	for _, row := range []struct {
		name string
		end  func(*testing.B) benchEnd
	}{{"ours", benchOurs}, {"raw", benchRaw}} {
		b.Run(row.name, func(b *testing.B) {
			end := row.end(b)
			data := make([]byte, benchSize)
			times := make([]time.Duration, b.N)
			b.ResetTimer()
			for i := range b.N {
				start := time.Now()
				ask(benchText(data, i))
				end.send(data)
				if err := benchCheck(end.answer(), i); err != nil {
					b.Fatal(err)
				}
				times[i] = time.Since(start)
			}
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)/2].Nanoseconds()), "p50-ns")
		})
	}
}
