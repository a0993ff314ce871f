package fsqueue

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"sync"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// fileBytes is what one file holds at most, unless one message has more.
const fileBytes = 8 << 20

// largestFrame is the longest message in bytes.
func largestFrame(s protocol.Settings) int {
	if s.MaxFrame <= 0 || s.MaxFrame > maxBytes {
		return maxBytes
	}
	return s.MaxFrame
}

// largestFile is the longest file that is read, in bytes: what Perl puts back
// comes as one, of all that a mailbox may hold.
func largestFile(s protocol.Settings) int {
	return max(2*fileBytes, largestFrame(s)+4, s.MaxBytes+s.MaxBytes/4)
}

// Deliver implements protocol.Mailbox. All frames are one file, unless they
// have more than fileBytes.
func (m *mailbox) Deliver(ctx context.Context, to string, frames []protocol.Frame, wait bool) (int, error) {
	if err := m.begin(); err != nil {
		return 0, err
	}
	defer m.end()
	for i := range frames {
		if n := len(frames[i].Data); n > m.shelf.maxFrame {
			return 0, m.fail("deliver", to, fmt.Errorf("%w: %d bytes, at most %d are allowed", protocol.ErrTooLarge, n, m.shelf.maxFrame))
		}
	}
	done := 0
	for done < len(frames) {
		if ctx.Err() != nil {
			return done, context.Cause(ctx)
		}
		n, err := m.deliver(ctx, to, frames[done:], wait)
		done += n
		if err != nil && ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
			return done, context.Cause(ctx)
		}
		if err != nil {
			return done, m.fail("deliver", to, err)
		}
	}
	return done, nil
}

// errRemoved says that the mailbox went while a file was on its way to it.
var errRemoved = fmt.Errorf("%w: its mailbox was removed", protocol.ErrPeerGone)

// deliver gives as many leading frames as one file holds to a peer.
func (m *mailbox) deliver(ctx context.Context, to string, frames []protocol.Frame, wait bool) (int, error) {
	p := parcelOf(frames)
	for again := false; ; again = true {
		w, seen, err := m.posts.take(to)
		if err == errForeign {
			return m.deliverForeign(seen, frames)
		}
		if err != nil {
			return 0, err
		}
		err = m.send(ctx, w, p, wait)
		if err == errRemoved {
			// The peer may have left and come back since the way was opened.
			m.posts.drop(w)
		}
		m.posts.give(w)
		switch {
		case err == errRemoved && !again:
		case err != nil:
			return 0, err
		default:
			return len(p.frames), nil
		}
	}
}

// parcel is what goes into one file.
type parcel struct {
	frames []protocol.Frame
	bytes  int
}

func parcelOf(frames []protocol.Frame) parcel {
	n, bytes := 1, len(frames[0].Data)
	for n < min(len(frames), maxCount) && bytes+len(frames[n].Data)+4*(n+1) <= fileBytes {
		bytes += len(frames[n].Data)
		n++
	}
	return parcel{frames[:n], bytes}
}

// send puts one file into the peer's mailbox. Its number is given under the
// lock under which it gets its place, so that there is none without a file.
func (m *mailbox) send(ctx context.Context, w *way, p parcel, wait bool) error {
	msgs, bytes := m.settings.MaxPending, m.settings.MaxBytes
	if err := w.gate.Admit(ctx, msgs, bytes, wait); err != nil {
		return err
	}
	temp, err := m.write(p)
	if err != nil {
		return err
	}
	for {
		// Others may have been admitted with the same look, and only one parcel
		// may go beyond the limit.
		err = m.place(ctx, w, p, temp)
		if !wait || !errors.Is(err, protocol.ErrFull) {
			break
		}
		if err = w.gate.Admit(ctx, msgs, bytes, true); err != nil {
			break
		}
	}
	if err != nil {
		return m.discard(temp, err)
	}
	if m.settings.Sync {
		if err := w.flush.flush(w.fresh); err != nil {
			return fmt.Errorf("%w: %w", protocol.ErrUnsure, err)
		}
	}
	return nil
}

// place gives the file temp its place in the peer's mailbox, if there is room.
func (m *mailbox) place(ctx context.Context, w *way, p parcel, temp string) error {
	t := w.post
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := w.gate.Admit(ctx, m.settings.MaxPending, m.settings.MaxBytes, false); err != nil {
		return err
	}
	at := place{m.entry.Epoch, t.number + 1}
	err := m.draft.Rename(temp, w.fresh, labelName(m.posts.sender, at, len(p.frames), p.bytes, len(p.frames) == 1))
	if err != nil {
		return err
	}
	t.number++
	w.gate.Accepted(len(p.frames), p.bytes)
	return nil
}

// discard removes the file that could not be placed, and says why it could not.
func (m *mailbox) discard(temp string, why error) error {
	err := m.draft.Remove(temp)
	if errors.Is(why, fs.ErrNotExist) {
		// One of the two is gone: the peer's mailbox or what was to go there.
		if err == nil {
			return errRemoved
		}
		return fmt.Errorf("somebody removes files from %s: %w", m.draft.Path(), why)
	}
	return why
}

// slabs are buffers for files of several messages.
var slabs = sync.Pool{New: func() any { return new([]byte) }}

// write makes a file of a parcel among the drafts.
func (m *mailbox) write(p parcel) (temp string, err error) {
	if len(p.frames) == 1 {
		return m.writeFile(p.frames[0].Data)
	}
	slab := slabs.Get().(*[]byte)
	defer slabs.Put(slab)
	b := (*slab)[:0]
	for i := range p.frames {
		b = appendFrame(b, p.frames[i].Data)
	}
	*slab = b
	return m.writeFile(b)
}

func (m *mailbox) writeFile(data []byte) (temp string, err error) {
	temp = strconv.FormatUint(m.drawn.Add(1), 36)
	f, err := m.draft.Create(temp)
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	if err == nil && m.settings.Sync {
		err = f.Sync()
	}
	// A file system may tell of a failed write only when the file is closed.
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return "", errors.Join(err, m.draft.Remove(temp))
	}
	return temp, nil
}
