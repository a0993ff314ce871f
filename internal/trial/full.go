package trial

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// Fill lives in a store on a disk that becomes full: first of messages, then of
// a stranger's file in dir. It says what is wrong, or nil: what was refused did
// not arrive and what was accepted did, a mailbox can be emptied on a full disk,
// and when there is room again all works on.
func Fill(ctx context.Context, st protocol.Store, dir string, out io.Writer) error {
	l := &life{ctx: ctx, st: st, out: out}
	if err := errors.Join(l.connect(&l.al, "al"), l.connect(&l.bo, "bo")); err != nil {
		return err
	}
	// What is removed later: a protocol may keep the room that messages had.
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 256<<10), 0o600); err != nil {
		return err
	}
	for _, batch := range []int{1, 7} {
		sent, err := l.stuff(batch)
		if err != nil {
			return err
		}
		if err := l.empty(sent); err != nil {
			return fmt.Errorf("full of %d messages: %w", len(sent), err)
		}
		fmt.Fprintf(out, "held %d messages\n", len(sent))
	}
	if err := os.Remove(ballast); err != nil {
		return err
	}
	kept, err := l.pack(5)
	if err != nil {
		return fmt.Errorf("there is room again: %w", err)
	}
	stranger := filepath.Join(dir, "stranger")
	if err := Occupy(stranger); err != nil {
		return err
	}
	more, err := l.pack(1 << 12)
	if !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("%d messages were accepted where there is no room: %w", len(more), err)
	}
	kept = append(kept, more...)
	left := l.bo.Leave(ctx, protocol.Departure{Suspend: true})
	fmt.Fprintln(out, "suspended with", left)
	if err := os.Remove(stranger); err != nil {
		return err
	}
	if err := l.connect(&l.bo, "bo"); err != nil {
		return fmt.Errorf("after the stranger has left: %w", err)
	}
	more, err = l.pack(3)
	if err != nil {
		return err
	}
	return l.empty(append(kept, more...))
}

// size of a message in bytes.
const size = 3000

// pack sends n messages as one operation, and gives their names.
func (l *life) pack(n int) (names []string, err error) {
	frames := make([]protocol.Frame, n)
	for i := range frames {
		l.count++
		name := fmt.Sprint(l.count)
		names = append(names, name)
		frames[i].Data = append([]byte(name+" "), bytes.Repeat([]byte{byte(l.count)}, size)...)
	}
	n, err = l.al.Deliver(l.ctx, "bo", frames, false)
	if err == nil && n != len(frames) {
		err = fmt.Errorf("%d of %d accepted without an error", n, len(frames))
	}
	return names[:n], err
}

// stuff sends until there is no room.
func (l *life) stuff(batch int) (sent []string, err error) {
	for {
		names, err := l.pack(batch)
		sent = append(sent, names...)
		switch {
		case err == nil:
		case errors.Is(err, syscall.ENOSPC) && !errors.Is(err, protocol.ErrUnsure):
			return sent, nil
		default:
			return sent, fmt.Errorf("a full disk gives %w", err)
		}
	}
}

// empty fetches and acknowledges all that is there, which has to be want.
func (l *life) empty(want []string) error {
	var got []string
	ds := make([]protocol.Delivery, 10)
	for {
		n, err := l.bo.Fetch(l.ctx, ds, false)
		if err != nil {
			return fmt.Errorf("fetch: %w", err)
		}
		if n == 0 {
			break
		}
		for _, d := range ds[:n] {
			name, content, _ := strings.Cut(string(d.Data), " ")
			if len(content) != size {
				return fmt.Errorf("message %s has %d bytes", name, len(content))
			}
			got = append(got, name)
		}
		if err := l.bo.Ack(l.ctx, ds[:n]); err != nil {
			return fmt.Errorf("acknowledge, with %d messages taken: %w", len(got), err)
		}
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("accepted %v, got %v", want, got)
	}
	return nil
}

// Occupy takes all the room there is on a disk.
func Occupy(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for n := 64 << 10; n > 0; {
		if _, err := f.Write(make([]byte, n)); errors.Is(err, syscall.ENOSPC) {
			n /= 2
		} else if err != nil {
			return err
		}
	}
	return nil
}
