//go:build unix

package unixsocket

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

const (
	leastRead  = 1 << 15 // what a read has room for at least
	largeFrame = 1 << 15 // a frame of more gets memory of its own
	helloLimit = 1 << 13 // an id has 512 bytes at most, whatever its escapes
)

// errEnd is given when a stream has been read to its end.
var errEnd = errors.New("end of the stream")

// stream is the receiving side of a connection between two reads.
type stream struct {
	rest   []byte // the beginning of a frame, or with primed: of what has been read and not been cut
	primed bool   // rest may hold whole frames
	large  []byte // a large frame under way: what has arrived of it
	want   int    // its length; 0 when there is none
}

// frameError is a stream whose framing is lost.
type frameError struct {
	size  uint32
	limit int
}

func (e *frameError) Error() string {
	return fmt.Sprintf("a frame of %d bytes is announced, %d are allowed: the connection is closed", e.size, e.limit)
}

// midFrame says whether the stream's end now would cut a frame short.
func (s *stream) midFrame() bool { return len(s.rest) > 0 || s.want > 0 }

// read takes in what one read of c gives. It returns EAGAIN when there is
// nothing and errEnd at the end.
func (m *Mailbox) read(c *conn) error {
	if c.in.want > 0 {
		return m.readLarge(c)
	}
	s := m.slab
	if s == nil || s.room() < len(c.in.rest)+leastRead {
		s = m.inbox.exchange(s, len(c.in.rest)+leastRead)
		m.slab = s
	}
	at := s.used
	have := copy(s.buf[at:], c.in.rest)
	n, err := 0, error(unix.EAGAIN)
	if c.unmet == nil {
		n, err = c.recv(s.buf[at+have:])
	}
	if n == 0 && err == nil && !c.in.primed {
		return errEnd
	}
	if err != nil && (err != unix.EAGAIN || !c.in.primed) {
		return err
	}
	have += n
	c.in.primed = false
	s.used = at + have
	left, err := m.cut(c, s, s.buf[at:s.used])
	if err != nil {
		return err
	}
	if len(left) < have {
		s.used = at + have // what is delivered stays
	} else {
		s.used = at // nothing whole: the rest is copied and its place free again
	}
	m.keep(c, left)
	return nil
}

// cut puts the whole frames of data into the inbox and returns what is left. Of
// a connection that has not said who it is, it looks at the hello only.
func (m *Mailbox) cut(c *conn, s *slab, data []byte) ([]byte, error) {
	m.cuts = m.cuts[:0]
	for len(data) >= headerSize {
		announced, limit := binary.BigEndian.Uint32(data), m.frameLimit
		if c.from == nil {
			limit = helloLimit
		}
		if uint64(announced) > uint64(limit) {
			m.push(c, s)
			return nil, &frameError{announced, limit}
		}
		size := int(announced)
		if len(data)-headerSize < size {
			break
		}
		frame := data[headerSize : headerSize+size : headerSize+size]
		if c.from == nil {
			err := m.meet(c, frame)
			if err != nil || c.unmet != nil {
				return data, err
			}
			c.in.primed = true
			return data[headerSize+size:], nil
		}
		data = data[headerSize+size:]
		m.cuts = append(m.cuts, frame)
	}
	m.push(c, s)
	return data, nil
}

func (m *Mailbox) push(c *conn, s *slab) {
	if len(m.cuts) == 0 {
		return
	}
	bytes := m.inbox.push(c.from.id, m.cuts, s)
	if !c.counted {
		m.keeper.Added(len(m.cuts), bytes)
	}
	clear(m.cuts)
}

// keep keeps the beginning of a frame until the next read.
func (m *Mailbox) keep(c *conn, left []byte) {
	if len(left) >= headerSize && !c.in.primed {
		if size := int(binary.BigEndian.Uint32(left)); size > largeFrame {
			c.in.want = size
			c.in.large = append(make([]byte, 0, 2*max(len(left), leastRead)), left[headerSize:]...)
			left = nil
		}
	}
	if len(left) == 0 {
		c.in.rest = nil
		return
	}
	c.in.rest = append(c.in.rest[:0], left...)
}

// readLarge goes on with a large frame. Its memory grows with what has arrived,
// whatever was announced.
func (m *Mailbox) readLarge(c *conn) error {
	in := &c.in
	if len(in.large) == cap(in.large) {
		in.large = append(make([]byte, 0, min(2*len(in.large), in.want)), in.large...)
	}
	n, err := c.recv(in.large[len(in.large):min(cap(in.large), in.want)])
	if err != nil {
		return err
	}
	if n == 0 {
		return errEnd
	}
	in.large = in.large[:len(in.large)+n]
	if len(in.large) == in.want {
		m.cuts = append(m.cuts[:0], in.large[:in.want:in.want])
		in.large, in.want = nil, 0
		m.push(c, nil)
	}
	return nil
}
