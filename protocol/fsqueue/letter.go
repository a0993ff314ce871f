package fsqueue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"sync"

	"github.com/ipcmgr/ipcmgr/internal/disk"
)

// letter is one file of the mailbox while this holder has to do with it.
type letter struct {
	label
	number uint64   // in the tags of its messages
	room   []byte   // what the file was read into
	frames [][]byte // views of it
	taken  int      // how many are handed out
	done   []bool   // acknowledged, by this holder or an earlier one
	left   int      // how many are not
	old    *record  // what an earlier holder left on record
}

// A message's tag is the letter's number and the message's index in it.
const (
	indexBits = 24 // for maxCount messages
	indexMask = 1<<indexBits - 1
)

func (l *letter) tag(i int) uint64 { return l.number<<indexBits | uint64(i) }

// spare are letters that are done with, by the size of their rooms, a power of
// two. Memory for what is read is what costs a reader most.
var spare [25]sync.Pool

const smallestRoom = 512

// newLetter makes a letter with room for size bytes.
func newLetter(size int) *letter {
	class := bits.Len(uint(max(size, smallestRoom) - 1))
	if class >= len(spare) {
		return &letter{room: make([]byte, size)}
	}
	if l, ok := spare[class].Get().(*letter); ok {
		return l
	}
	return &letter{room: make([]byte, 1<<class)}
}

// free ends the use of a letter, and of all views of it.
func (l *letter) free() {
	*l = letter{room: l.room, frames: l.frames[:0], done: l.done[:0]}
	if class := bits.Len(uint(len(l.room) - 1)); class < len(spare) {
		spare[class].Put(l)
	}
}

// load reads a letter's file, which has one byte of room more than it should
// need.
func (l *letter) load(f disk.File) error {
	size := l.size()
	n := 0
	for n <= size {
		m, err := f.Read(l.room[n : size+1])
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

var errSize = errors.New("its size is not what its name says")

// open gives a letter that is loaded its frames. What of a damaged file is whole
// is read; rest is what is not, and why.
func (l *letter) open(maxFrame int) (rest []byte, why error) {
	size := l.size()
	data := l.room[:size:size]
	if l.single {
		l.frames = append(l.frames, data)
	} else {
		l.frames, rest, why = split(l.frames, data, maxFrame)
	}
	l.left = len(l.frames)
	for i := range l.frames {
		done := l.old != nil && l.old.acked[i]
		l.done = append(l.done, done)
		if done {
			l.left--
		}
	}
	return rest, why
}

var errFraming = errors.New("the lengths in it are wrong")

// split appends the frames of a file to frames. Those before the first wrong
// one are good.
func split(frames [][]byte, data []byte, maxFrame int) (all [][]byte, rest []byte, why error) {
	for len(data) > 0 {
		if len(data) < 4 || len(frames) == maxCount {
			return frames, data, errFraming
		}
		n := int64(binary.BigEndian.Uint32(data))
		if n > int64(maxFrame) || n > int64(len(data)-4) {
			return frames, data, fmt.Errorf("%w: a frame of %d bytes", errFraming, n)
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
