//go:build linux && !ipcmgr_fallback

package shm

import (
	"fmt"
	"time"
)

// inlet is the reading side of a ring.
type inlet struct {
	*ring
	name    ringName
	index   uint64 // in the tags of what it hands out
	watched bool   // the end of its sender's process

	pos      uint64 // what is fetched next
	end      uint64 // up to here there are records
	gone     uint64 // up to here all are acknowledged
	doubt    uint64 // up to here a holder that crashed may have handed out
	out      int    // handed out and not acknowledged
	outBytes int
	closed   bool // its sender says that no more will come, or has ended
}

// openInlet takes a ring up where its last reader left it. A reader that crashed
// may have handed out all up to its mark.
func openInlet(path string, name ringName, crashed bool) (*inlet, error) {
	r, err := openRing(path)
	if err != nil {
		return nil, err
	}
	i := &inlet{ring: r, name: name, gone: r.head.Load()}
	i.pos = i.gone
	if i.gone%8 != 0 {
		err = fmt.Errorf("%w: its head is %d", errBroken, i.gone)
	}
	if err == nil {
		err = i.look()
	}
	if err != nil {
		r.tail.Or(over) // so that its sender makes another one
		r.unmap()
		return nil, err
	}
	if handed := r.handed.Load(); crashed && handed > r.doubted.Load() {
		r.doubted.Store(handed)
	}
	r.handed.Store(0)
	i.doubt = r.doubted.Load()
	return i, nil
}

// look sees how far the records reach.
func (i *inlet) look() error {
	end, flags, err := i.reach(i.pos, i.gone)
	if err != nil {
		return err
	}
	i.end = end
	i.closed = i.closed || flags&over != 0
	return nil
}

// finish ends the ring of a sender that is dead. Should it live, it finds that,
// and makes another one.
func (i *inlet) finish() {
	i.tail.Or(over)
	i.closed = true
}

// count walks over what is not acknowledged.
func (i *inlet) count() (msgs, bytes int) {
	for pos := i.gone; pos < i.end; {
		w, frame, next := i.record(pos, i.end)
		if w&(flagDone|flagPad) == 0 {
			msgs++
			bytes += len(frame)
		}
		pos = next
	}
	return msgs, bytes
}

// next gives the next message, if there is one. What is none is given like one:
// it is made a record, so that it can be acknowledged.
func (i *inlet) next() (m message, ok bool, err error) {
	for {
		if i.pos == i.end {
			if err := i.look(); err != nil || i.pos == i.end {
				return m, false, err
			}
		}
		w, frame, next := i.record(i.pos, i.end)
		m = message{pos: i.pos, frame: frame, again: i.pos < i.doubt || w&flagBack != 0, bad: w&flagBad != 0}
		if m.bad {
			i.at(i.pos).Store(w)
		}
		i.pos = next
		if w&(flagDone|flagPad) == 0 {
			return m, true, nil
		}
	}
}

type message struct {
	pos   uint64
	frame []byte
	again bool
	bad   bool // none
}

// settle marks the message at pos as acknowledged, and says how long it was. It
// is false if the message was acknowledged before, or never handed out.
func (i *inlet) settle(pos uint64) (bytes int, ok bool) {
	if pos < i.gone || pos >= i.pos {
		return 0, false
	}
	w, frame, next := i.record(pos, i.pos)
	if w&(flagDone|flagPad) != 0 {
		return 0, false
	}
	if pos == i.gone {
		i.gone = next
	} else {
		i.at(pos).Store(w | flagDone)
	}
	i.out--
	i.outBytes -= len(frame)
	return len(frame), true
}

// free gives the room of what is acknowledged back to the sender.
func (i *inlet) free() {
	if i.out == 0 {
		i.gone = i.pos // whatever stands there by now
	}
	for i.gone < i.pos {
		w, _, next := i.record(i.gone, i.pos)
		if w&(flagDone|flagPad) == 0 {
			break
		}
		i.gone = next
	}
	i.head.Store(i.gone)
}

// spent says that the ring will never have anything to read or acknowledge.
func (i *inlet) spent() bool {
	if !i.closed || i.out > 0 || i.look() != nil {
		return false
	}
	i.free()
	return i.gone == i.end
}

// putBack marks the message at pos for the next holder.
func (i *inlet) putBack(pos uint64) {
	if pos < i.gone || pos >= i.pos {
		return
	}
	w, _, _ := i.record(pos, i.pos)
	i.at(pos).Store(w | flagBack)
}

// grace is how long the place of a ring stays mapped that is not needed any more:
// the content of a message may just be being read, by who does not know that
// another has acknowledged it. It is spent in parts, of which a process that is
// stopped amid that loses one.
const (
	grace      = time.Second
	graceParts = 4
)

func (i *inlet) drop() {
	i.vacate()
	i.unmapIn(graceParts)
}

func (i *inlet) unmapIn(parts int) {
	if parts == 0 {
		i.unmap()
		return
	}
	time.AfterFunc(grace/graceParts, func() { i.unmapIn(parts - 1) })
}

// abandon ends the use of a ring in the middle. What was handed out and not
// acknowledged may be read at any time, so it stays mapped.
func (i *inlet) abandon() {
	if i.out == 0 {
		i.drop()
	}
}
