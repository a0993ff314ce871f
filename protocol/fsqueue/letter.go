package fsqueue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/ipcmgr/ipcmgr/internal/disk"
)

// letter is one file of the mailbox while this holder has to do with it.
type letter struct {
	label
	frames [][]byte // views of the file's content, once it is read
	taken  int      // how many are handed out
	done   []bool   // acknowledged, by this holder or an earlier one
	left   int      // how many are not
	old    *record  // what an earlier holder left on record
}

// read gives a letter its frames: data is the file's content. What of a damaged
// file is whole is read; rest is what is not, and why.
func (l *letter) read(data []byte, maxFrame int) (rest []byte, why error) {
	if l.single {
		l.frames = [][]byte{data}
	} else {
		l.frames, rest, why = split(data, l.count, maxFrame)
	}
	l.done = make([]bool, len(l.frames))
	l.left = len(l.frames)
	if l.old != nil {
		for i := range l.done {
			if l.old.acked[i] {
				l.done[i] = true
				l.left--
			}
		}
	}
	return rest, why
}

var errFraming = errors.New("the lengths in it are wrong")

// split cuts a file of frames. The frames before the first wrong one are good.
func split(data []byte, count, maxFrame int) (frames [][]byte, rest []byte, why error) {
	for len(data) > 0 {
		if len(data) < 4 {
			return frames, data, errFraming
		}
		n := int64(binary.BigEndian.Uint32(data))
		if n > int64(maxFrame) || n > int64(len(data)-4) {
			return frames, data, fmt.Errorf("%w: a frame of %d bytes", errFraming, n)
		}
		if frames == nil {
			// A frame has 4 bytes at least, whatever the name says.
			frames = make([][]byte, 0, min(count, len(data)/4))
		}
		frames = append(frames, data[4:4+n:4+n])
		data = data[4+n:]
	}
	return frames, nil, nil
}

// appendFrame appends one frame to what is to be a file.
func appendFrame(b, data []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
	return append(b, data...)
}

var errSize = errors.New("its size is not what its name says")

// load reads a file of exactly size bytes into room, which has one byte more.
func load(d disk.Dir, name string, size int, room []byte) error {
	f, err := d.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	n := 0
	for n <= size {
		m, err := f.Read(room[n : size+1])
		n += m
		// One that has as many bytes as it should has no more, or the read
		// would have brought them: regular files give what they have.
		if n == size && (m > 0 || size == 0) || err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if n != size {
		return fmt.Errorf("%w: %d bytes", errSize, size)
	}
	return nil
}
