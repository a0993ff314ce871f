//go:build unix

package unixsocket

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// FuzzStream: whatever a peer that has said hello writes, in pieces of whatever
// size, the whole frames before the first that is too large are delivered as
// they were written, and nothing else is.
func FuzzStream(f *testing.F) {
	s := spawned(f, func(s *protocol.Settings) { s.MaxFrame = 1 << 16 })
	m, _ := joined(f, s, "b")
	require.NoError(f, m.take(m.over)) // nobody else reads
	f.Cleanup(m.release)
	f.Add(framed("one", "", "three"), 0, 7)
	f.Add(append(framed("good"), 0xff, 0xff, 0xff, 0xff, 'x'), 0, 1)
	f.Add(append(framed("before"), 0, 0, 0xff, 0), 70_000, 10_000) // a large one, and then empty ones
	// Zeros follow the bytes, so that a large frame is not a large input.
	f.Fuzz(func(t *testing.T, data []byte, zeros, piece int) {
		data = append(data, make([]byte, max(0, zeros%100_000))...)
		if len(data) > 150_000 {
			return // a large frame is not larger
		}
		var ends [2]int
		var err error
		if ends, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0); err != nil {
			t.Fatal(err)
		}
		for _, fd := range ends {
			require.NoError(t, unix.SetNonblock(fd, true))
		}
		c := newConn(ends[0])
		c.from = &friend{id: "peer"}
		defer c.close()
		var got []string
		absorb := func() bool {
			for {
				err := m.read(c)
				ds := make([]protocol.Delivery, 100)
				for n := m.inbox.take(ds); n > 0; n = m.inbox.take(ds) {
					for _, d := range ds[:n] {
						got = append(got, string(d.Data))
					}
					m.inbox.settle(ds[:n])
				}
				if err == unix.EAGAIN {
					return true
				}
				if err != nil {
					var lost *frameError
					require.True(t, err == errEnd || errors.As(err, &lost), err)
					return false
				}
			}
		}
		open := true
		for rest := data; open && len(rest) > 0; {
			n := len(rest)
			if piece > 0 && piece < n && len(data)/piece < 1000 {
				n = piece
			}
			n, err := unix.Write(ends[1], rest[:n])
			if err != unix.EAGAIN { // a socket may hold less than that
				require.NoError(t, err)
				rest = rest[n:]
			}
			open = absorb()
		}
		unix.Close(ends[1])
		if open {
			require.False(t, absorb())
		}
		require.Equal(t, whole(data, m.frameLimit), got)
		require.LessOrEqual(t, cap(c.in.rest)+cap(c.in.large), 4*len(data)+4*leastRead)
	})
}

// whole gives the frames in data as the format's description has them.
func whole(data []byte, limit int) (frames []string) {
	for len(data) >= headerSize {
		size := int64(binary.BigEndian.Uint32(data))
		if size > int64(limit) || size > int64(len(data)-headerSize) {
			return frames
		}
		frames = append(frames, string(data[headerSize:headerSize+size]))
		data = data[headerSize+size:]
	}
	return frames
}
