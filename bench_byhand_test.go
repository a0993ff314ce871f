package ipcmgr_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/fsnotify/fsnotify"
	"go.etcd.io/bbolt"
)

// What a program would write by hand instead, for the benchmarks.

// rawStream is a unix stream socket with frames, one write for each.
func rawStream(echo bool) func(b *testing.B) lane {
	return func(b *testing.B) lane {
		path := filepath.Join(b.TempDir(), "s")
		role := "raw-sink"
		if echo {
			role = "raw-echo"
		}
		_, stop := other(b, "", role, path)
		conn, err := net.Dial("unix", path)
		if err != nil {
			b.Fatal(err)
		}
		frame := make([]byte, 4+benchSize)
		binary.BigEndian.PutUint32(frame, benchSize)
		answer := make([]byte, len(frame))
		return lane{func(n int) error {
			for i := range n {
				payload(frame[4:], i)
				if _, err := conn.Write(frame); err != nil {
					return err
				}
				if !echo {
					continue
				}
				if _, err := io.ReadFull(conn, answer); err != nil {
					return err
				}
				if err := verify(answer[4:], i); err != nil {
					return err
				}
			}
			if echo {
				return nil
			}
			if _, err := conn.Write([]byte{0, 0, 0, 0}); err != nil {
				return err
			}
			_, err := io.ReadFull(conn, answer[:1])
			return err
		}, func() { conn.Close(); stop() }}
	}
}

func playStream(echo bool, path string) error {
	l, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	conn, err := l.Accept()
	if err != nil {
		return err
	}
	in := bufio.NewReaderSize(conn, 64<<10)
	frame := make([]byte, 4+benchSize)
	for next := 0; ; {
		if _, err := io.ReadFull(in, frame[:4]); err != nil {
			return nil
		}
		n := binary.BigEndian.Uint32(frame)
		if n == 0 { // the round is over
			next = 0
			if _, err := conn.Write(frame[:1]); err != nil {
				return err
			}
			continue
		}
		if n != benchSize {
			return fmt.Errorf("a frame of %d bytes", n)
		}
		if _, err := io.ReadFull(in, frame[4:]); err != nil {
			return err
		}
		if echo {
			if _, err := conn.Write(frame); err != nil {
				return err
			}
			continue
		}
		if err := verify(frame[4:], next); err != nil {
			return err
		}
		next++
	}
}

// rawFiles is a directory with a file for each message: create, write, rename;
// list, read, unlink.
func rawFiles(b *testing.B) lane {
	dir := b.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "new"), 0o700); err != nil {
		b.Fatal(err)
	}
	line, stop := other(b, "", "raw-files", dir)
	buf := make([]byte, benchSize)
	put := func(name string, data []byte) error {
		tmp := filepath.Join(dir, "tmp-"+name)
		if err := os.WriteFile(tmp, data, 0o600); err != nil {
			return err
		}
		return os.Rename(tmp, filepath.Join(dir, "new", name))
	}
	return lane{func(n int) error {
		for i := range n {
			if err := put(fmt.Sprintf("%016x", i), payload(buf, i)); err != nil {
				return err
			}
		}
		if err := put("end", []byte(strconv.Itoa(n))); err != nil {
			return err
		}
		_, err := line()
		return err
	}, stop}
}

func playFiles(dir string) error {
	dir = filepath.Join(dir, "new")
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	if err := w.Add(dir); err != nil {
		return err
	}
	fmt.Println("ready")
	end := make(chan struct{})
	go func() { io.Copy(io.Discard, os.Stdin); close(end) }()
	changed := make(chan struct{}, 1)
	go func() { // else the queue of events overflows, and nothing comes any more
		for {
			select {
			case <-w.Events:
			case <-w.Errors:
			}
			select {
			case changed <- struct{}{}:
			default:
			}
		}
	}()
	for seen := 0; ; {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if e.Name() == "end" && strconv.Itoa(seen) != string(data) {
				continue // what a listing missed comes with the next
			}
			if err := os.Remove(path); err != nil {
				return err
			}
			if e.Name() == "end" {
				seen = 0
				fmt.Println("all")
				continue
			}
			n, err := strconv.ParseUint(e.Name(), 16, 64)
			if err != nil {
				return err
			}
			if err := verify(data, int(n)); err != nil {
				return err
			}
			seen++
		}
		if len(entries) == 0 {
			select {
			case <-changed:
			case <-end:
				return nil
			}
		}
	}
}

// rawBolt is one process that puts, reads and deletes batches of 100.
func rawBolt(noSync bool) func(b *testing.B) lane {
	return func(b *testing.B) lane {
		db, err := bbolt.Open(filepath.Join(b.TempDir(), "db"), 0o600, &bbolt.Options{NoSync: noSync})
		if err != nil {
			b.Fatal(err)
		}
		name := []byte("m")
		buf := make([]byte, 100*benchSize)
		return lane{func(n int) error {
			for i := 0; i < n; i += 100 {
				err := db.Update(func(tx *bbolt.Tx) error {
					m, err := tx.CreateBucketIfNotExists(name)
					if err != nil {
						return err
					}
					for k := range 100 {
						var key [8]byte
						binary.BigEndian.PutUint64(key[:], uint64(i+k))
						if err := m.Put(key[:], payload(buf[k*benchSize:(k+1)*benchSize], i+k)); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					return err
				}
				err = db.Update(func(tx *bbolt.Tx) error {
					c := tx.Bucket(name).Cursor()
					next := i
					for k, v := c.First(); k != nil; k, v = c.First() {
						if err := verify(v, next); err != nil {
							return err
						}
						if err := c.Delete(); err != nil {
							return err
						}
						next++
					}
					return nil
				})
				if err != nil {
					return err
				}
			}
			return nil
		}, func() { db.Close() }}
	}
}
