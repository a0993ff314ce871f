package bbolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/ipcmgr/ipcmgr/protocol"
	bolt "go.etcd.io/bbolt"
)

const payload = 1024

// stamp numbers a message and makes it one that tells of itself.
func stamp(b []byte, n uint64) {
	binary.BigEndian.PutUint64(b, n)
	for i := 12; i < len(b); i++ {
		b[i] = byte(n) + byte(i)
	}
	binary.BigEndian.PutUint32(b[8:], crc32.ChecksumIEEE(b[12:]))
}

// check says whether a message is the one with that number.
func check(b []byte, n uint64) error {
	if len(b) != payload || binary.BigEndian.Uint64(b) != n || binary.BigEndian.Uint32(b[8:]) != crc32.ChecksumIEEE(b[12:]) {
		return fmt.Errorf("not message %d", n)
	}
	return nil
}

// send connects and sends numbered messages: ROUTE COUNT BATCH.
func send(args []string) error {
	ctx := context.Background()
	count, _ := strconv.Atoi(args[1])
	batch, _ := strconv.Atoi(args[2])
	s, err := Protocol{}.Open(ctx, args[0])
	if err != nil {
		return err
	}
	defer s.Close()
	m, err := s.Connect(ctx, protocol.ConnectOptions{ID: "a"})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	fmt.Scanln()
	frames := make([]protocol.Frame, batch)
	for i := range frames {
		frames[i].Data = make([]byte, payload)
	}
	for n := 0; n < count; n += batch {
		for i := range frames {
			stamp(frames[i].Data, uint64(n+i))
		}
		if _, err := m.Deliver(ctx, "b", frames, true); err != nil {
			return err
		}
	}
	fmt.Println("sent")
	fmt.Scanln()
	return m.Leave(ctx, protocol.Departure{})
}

// echo connects and sends back what it gets: ROUTE.
func echo(args []string) error {
	ctx := context.Background()
	s, err := Protocol{}.Open(ctx, args[0])
	if err != nil {
		return err
	}
	defer s.Close()
	m, err := s.Connect(ctx, protocol.ConnectOptions{ID: "a"})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	ds := make([]protocol.Delivery, 64)
	for {
		n, err := m.Fetch(ctx, ds, true)
		if err != nil {
			return err
		}
		for _, d := range ds[:n] {
			if len(d.Data) == 0 {
				return m.Leave(ctx, protocol.Departure{})
			}
			if _, err := m.Deliver(ctx, "b", []protocol.Frame{{Data: d.Data}}, true); err != nil {
				return err
			}
		}
		if err := m.Ack(ctx, ds[:n]); err != nil {
			return err
		}
	}
}

func benchStore(b *testing.B, durable bool) (protocol.Store, protocol.Mailbox) {
	ctx := b.Context()
	s, err := Protocol{}.Spawn(ctx, filepath.Join(b.TempDir(), "s"), protocol.Settings{
		MaxFrame: 1 << 24, MaxPending: 1 << 16, MaxBytes: 1 << 26, Sync: durable,
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Unspawn(context.Background()); s.Close() })
	m, err := s.Connect(ctx, protocol.ConnectOptions{ID: "b"})
	if err != nil {
		b.Fatal(err)
	}
	return s, m
}

// receive takes in count numbered messages.
func receive(ctx context.Context, m protocol.Mailbox, count int) error {
	ds := make([]protocol.Delivery, 1024)
	for next := 0; next < count; {
		n, err := m.Fetch(ctx, ds, true)
		if err != nil {
			return err
		}
		for _, d := range ds[:n] {
			if err := check(d.Data, uint64(next)); err != nil {
				return err
			}
			next++
		}
		if err := m.Ack(ctx, ds[:n]); err != nil {
			return err
		}
	}
	return nil
}

func durabilities(b *testing.B, run func(b *testing.B, durable bool)) {
	for _, durable := range []bool{false, true} {
		b.Run(fmt.Sprintf("sync=%v", durable), func(b *testing.B) { run(b, durable) })
	}
}

// BenchmarkOneWay: another process sends, this one receives and acknowledges.
// One operation is one message of 1 KiB.
func BenchmarkOneWay(b *testing.B) {
	for _, batch := range []int{1, 100} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			durabilities(b, func(b *testing.B, durable bool) {
				s, m := benchStore(b, durable)
				count := (b.N + batch - 1) / batch * batch
				c := start(b, "send", s.Route(), strconv.Itoa(count), strconv.Itoa(batch))
				c.says()
				b.ResetTimer()
				fmt.Fprintln(c.in)
				if err := receive(b.Context(), m, count); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				c.says()
				fmt.Fprintln(c.in)
				c.wait()
			})
		})
	}
}

// BenchmarkReference: one process puts, reads and deletes the same messages in
// one bbolt file, by one Update for the puts of a batch and one for its reads
// and deletes.
func BenchmarkReference(b *testing.B) {
	const batch = 100
	durabilities(b, func(b *testing.B, durable bool) {
		db, err := bolt.Open(filepath.Join(b.TempDir(), "reference"), 0o600, &bolt.Options{NoSync: !durable, NoGrowSync: !durable})
		if err != nil {
			b.Fatal(err)
		}
		defer os.Remove(db.Path())
		defer db.Close()
		name := []byte("messages")
		frames := make([][]byte, batch)
		for i := range frames {
			frames[i] = make([]byte, payload)
		}
		b.ResetTimer()
		for n := 0; n < b.N; n += batch {
			err := db.Update(func(tx *bolt.Tx) error {
				k, err := tx.CreateBucketIfNotExists(name)
				for i, f := range frames {
					stamp(f, uint64(n+i))
					err = errors.Join(err, k.Put(binary.BigEndian.AppendUint64(nil, uint64(n+i)), f))
				}
				return err
			})
			if err != nil {
				b.Fatal(err)
			}
			err = db.Update(func(tx *bolt.Tx) error {
				k := tx.Bucket(name)
				for i := range frames {
					at := binary.BigEndian.AppendUint64(nil, uint64(n+i))
					if err := errors.Join(check(bytes.Clone(k.Get(at)), uint64(n+i)), k.Delete(at)); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkRoundTrip: another process sends back what this one sends.
func BenchmarkRoundTrip(b *testing.B) {
	durabilities(b, func(b *testing.B, durable bool) {
		s, m := benchStore(b, durable)
		c := start(b, "echo", s.Route())
		c.says()
		ctx := b.Context()
		data := make([]byte, payload)
		ds := make([]protocol.Delivery, 1)
		b.ResetTimer()
		for n := range b.N {
			stamp(data, uint64(n))
			if _, err := m.Deliver(ctx, "a", []protocol.Frame{{Data: data}}, true); err != nil {
				b.Fatal(err)
			}
			if _, err := m.Fetch(ctx, ds, true); err != nil {
				b.Fatal(err)
			}
			if err := errors.Join(check(ds[0].Data, uint64(n)), m.Ack(ctx, ds)); err != nil {
				b.Fatal(err)
			}
		}
		b.StopTimer()
		if _, err := m.Deliver(ctx, "a", []protocol.Frame{{}}, true); err != nil {
			b.Fatal(err)
		}
		c.wait()
	})
}
