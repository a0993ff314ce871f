package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ipcmgr/ipcmgr/internal/measure"
)

// ringLanes is a ring in shared memory each way, with nothing around it: one
// writer, one reader that looks again and again, no envelope, no check of what
// the other side wrote. It is what shared memory can do at best.
func ringLanes() []measure.Lane {
	return []measure.Lane{{
		Name:    "shared ring by hand",
		Durable: measure.InFlight,
		Memory:  true,
		Host: func(ctx context.Context, p measure.Place) (string, func() (measure.End, error), error) {
			e, err := newRingEnd(ctx, p.Dir, "to", "back")
			return "", func() (measure.End, error) { return e, nil }, err
		},
		Join: func(ctx context.Context, p measure.Place) (measure.End, error) {
			return newRingEnd(ctx, p.Dir, "back", "to")
		},
	}}
}

const (
	ringSize = 4 << 20 // bytes of messages
	ringHead = 192     // bytes before them: tail and head on cache lines of their own
)

// ring is one direction. Each side remembers what it last saw of the other's
// index, and looks again only when that is used up.
type ring struct {
	ctx        context.Context
	file       []byte
	data       []byte
	tail, head *atomic.Uint64 // bytes ever published, and ever read

	at, seen uint64 // of the side that this is: its own index, and the other's
}

// newRing maps the ring of this name, which it makes if it is the first.
func newRing(ctx context.Context, dir, name string) (*ring, error) {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := f.Truncate(ringHead + ringSize); err != nil {
		return nil, err
	}
	m, err := unix.Mmap(int(f.Fd()), 0, ringHead+ringSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, err
	}
	word := func(at int) *atomic.Uint64 { return (*atomic.Uint64)(unsafe.Pointer(&m[at])) }
	return &ring{ctx: ctx, file: m, data: m[ringHead:], tail: word(0), head: word(128)}, nil
}

// record is what a message of n bytes takes: its length before it, in whole
// words.
func record(n int) uint64 { return uint64(8+n+7) &^ 7 }

// put writes a message that is not published yet. One that does not fit before
// the end begins at the front, and a length says so.
func (r *ring) put(b []byte) error {
	need := record(len(b))
	if need > ringSize/4 {
		return fmt.Errorf("%d bytes are too many for the ring", len(b))
	}
	pos := r.at % ringSize
	skip := uint64(0)
	if ringSize-pos < need {
		skip = ringSize - pos
	}
	for tries := 0; r.at+skip+need-r.seen > ringSize; tries++ {
		r.seen = r.head.Load()
		if r.at+skip+need-r.seen > ringSize {
			r.publish() // the reader cannot free what it does not see
			if err := r.pause(tries); err != nil {
				return err
			}
		}
	}
	if skip > 0 {
		binary.LittleEndian.PutUint64(r.data[pos:], ^uint64(0))
		r.at += skip
		pos = 0
	}
	binary.LittleEndian.PutUint64(r.data[pos:], uint64(len(b)))
	copy(r.data[pos+8:], b)
	r.at += need
	return nil
}

func (r *ring) publish() { r.tail.Store(r.at) }

// get copies the next message. What was read is freed when all that was seen
// is read, or a quarter of the ring.
func (r *ring) get(into []byte) ([]byte, error) {
	for {
		if r.at == r.seen {
			r.head.Store(r.at)
			for tries := 0; ; tries++ {
				if r.seen = r.tail.Load(); r.at != r.seen {
					break
				}
				if err := r.pause(tries); err != nil {
					return nil, err
				}
			}
		}
		pos := r.at % ringSize
		n := binary.LittleEndian.Uint64(r.data[pos:])
		if n == ^uint64(0) {
			r.at += ringSize - pos
			continue
		}
		if uint64(cap(into)) < n {
			into = make([]byte, n)
		}
		into = into[:n]
		copy(into, r.data[pos+8:])
		r.at += record(int(n))
		if r.at-r.head.Load() > ringSize/4 {
			r.head.Store(r.at)
		}
		return into, nil
	}
}

// pause lets the other side go on: at first by looking again at once.
func (r *ring) pause(tries int) error {
	if tries < 100 {
		return nil
	}
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	_, _, errno := unix.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func (r *ring) close() error { return unix.Munmap(r.file) }

// ringEnd is one ring to write and one to read.
type ringEnd struct{ out, in *ring }

func newRingEnd(ctx context.Context, dir, to, from string) (*ringEnd, error) {
	out, err := newRing(ctx, dir, to)
	if err != nil {
		return nil, err
	}
	in, err := newRing(ctx, dir, from)
	return &ringEnd{out, in}, err
}

func (e *ringEnd) Send(content any) error {
	if err := e.out.put(content.([]byte)); err != nil {
		return err
	}
	e.out.publish()
	return nil
}

func (e *ringEnd) SendBatch(contents []any) error {
	for _, c := range contents {
		if err := e.out.put(c.([]byte)); err != nil {
			return err
		}
	}
	e.out.publish()
	return nil
}

func (e *ringEnd) Receive(into []byte) ([]byte, error) { return e.in.get(into) }
func (e *ringEnd) Close() error                        { return errors.Join(e.out.close(), e.in.close()) }
