package measure

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"path/filepath"
)

// RawUnix is a unix stream socket as a program would use it by hand: a frame
// has a length before it, a single one is written with one call, and a batch is
// collected in a buffer. Reading is buffered.
func RawUnix() Lane {
	return Lane{
		Name:    "raw unix socket",
		Durable: InFlight,
		Host: func(_ context.Context, p Place) (string, func() (End, error), error) {
			path := filepath.Join(p.Dir, "s")
			l, err := net.Listen("unix", path)
			if err != nil {
				return "", nil, err
			}
			return path, func() (End, error) {
				defer l.Close()
				conn, err := l.Accept()
				if err != nil {
					return nil, err
				}
				return newStream(conn), nil
			}, nil
		},
		Join: func(_ context.Context, p Place) (End, error) {
			conn, err := net.Dial("unix", p.Addr)
			if err != nil {
				return nil, err
			}
			return newStream(conn), nil
		},
	}
}

// stream is one end of a connection.
type stream struct {
	conn  net.Conn
	in    *bufio.Reader
	out   *bufio.Writer // for batches
	frame []byte        // of the message that is being written
	head  [4]byte       // of the one that is being read
}

func newStream(conn net.Conn) *stream {
	return &stream{conn: conn, in: bufio.NewReaderSize(conn, 64<<10), out: bufio.NewWriterSize(conn, 64<<10)}
}

func (s *stream) Send(content any) error {
	b := content.([]byte)
	s.frame = append(binary.BigEndian.AppendUint32(s.frame[:0], uint32(len(b))), b...)
	_, err := s.conn.Write(s.frame)
	return err
}

func (s *stream) SendBatch(contents []any) error {
	for _, content := range contents {
		b := content.([]byte)
		s.frame = binary.BigEndian.AppendUint32(s.frame[:0], uint32(len(b)))
		_, _ = s.out.Write(s.frame) // an error stays until Flush
		_, _ = s.out.Write(b)
	}
	return s.out.Flush()
}

func (s *stream) Receive(into []byte) ([]byte, error) {
	if _, err := io.ReadFull(s.in, s.head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(s.head[:])
	if n > 1<<30 {
		return nil, fmt.Errorf("a frame of %d bytes", n)
	}
	into = room(into, int(n))
	_, err := io.ReadFull(s.in, into)
	return into, err
}

func (s *stream) Close() error { return s.conn.Close() }

// room gives n bytes: those of b if it has so many, else new ones.
func room(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}
