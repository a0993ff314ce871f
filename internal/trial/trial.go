// Package trial is for tests in which the system fails a program: a short life
// of a store that writes down what it was told, and the check of that against
// what is left. The two are in different processes, for the first may be killed
// by what it meets.
package trial

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// The marks of a journal's lines; the text of one message follows.
const (
	sending  = "+" // Deliver is about to be called
	accepted = "=" // it returned without an error
	unsure   = "?" // it said that it does not know
	refused  = "!" // it said that the message will not arrive
	acking   = "-" // Ack is about to be called
	acked    = "_" // it returned without an error
)

// tries is how often a verb that fails is tried. Who lets one call fail has the
// second one succeed, perhaps after one for what the first has left.
const tries = 4

// life is one run.
type life struct {
	ctx    context.Context
	st     protocol.Store
	out    io.Writer
	al, bo protocol.Mailbox
	count  int
}

// Live goes through the verbs of a client in the store that spawn makes, and
// writes its journal to out. It ends without leaving, like a process that is
// killed. The error is that of a verb that does not work, nor when tried again.
func Live(ctx context.Context, spawn func() (protocol.Store, error), out io.Writer) error {
	l := &life{ctx: ctx, out: out}
	err := l.try(func() (err error) { l.st, err = spawn(); return err })
	if err != nil {
		return fmt.Errorf("spawn: %w", err)
	}
	steps := []func() error{
		func() error { return l.connect(&l.al, "al") },
		func() error { return l.connect(&l.bo, "bo") },
		func() error { return l.send(1) },
		func() error { return l.send(4) },
		func() error { return l.receive(3) },
		func() error { return l.suspend() },
		func() error { return l.send(2) },
		func() error { return l.connect(&l.bo, "bo") },
		func() error { return l.receive(2) },
		func() error { return l.send(3) },
		func() error { return l.receive(1) },
	}
	for i, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	return nil
}

func (l *life) try(call func() error) (err error) {
	for range tries {
		if err = call(); err == nil {
			return nil
		}
	}
	return err
}

// note writes to the journal. Without it the run is worth nothing.
func (l *life) note(mark string, texts ...string) error {
	for _, text := range texts {
		if _, err := fmt.Fprintln(l.out, mark+text); err != nil {
			return fmt.Errorf("journal: %w", err)
		}
	}
	return nil
}

func (l *life) connect(m *protocol.Mailbox, id string) error {
	return l.try(func() (err error) {
		*m, err = l.st.Connect(l.ctx, protocol.ConnectOptions{ID: id, Mode: protocol.Resume})
		return err
	})
}

// send delivers n messages as one operation. Those that were not accepted are
// not sent again: others are.
func (l *life) send(n int) error {
	return l.try(func() error {
		texts := make([]string, n)
		frames := make([]protocol.Frame, n)
		for i := range frames {
			l.count++
			texts[i] = fmt.Sprintf("message %d", l.count)
			frames[i].Data = []byte(texts[i])
		}
		if err := l.note(sending, texts...); err != nil {
			return err
		}
		done, err := l.al.Deliver(l.ctx, "bo", frames, false)
		rest := refused
		if errors.Is(err, protocol.ErrUnsure) {
			rest = unsure
		}
		return errors.Join(err, l.note(accepted, texts[:done]...), l.note(rest, texts[done:]...))
	})
}

// receive acknowledges n messages.
func (l *life) receive(n int) error {
	ds := make([]protocol.Delivery, n)
	for got := 0; got < n; {
		err := l.try(func() error {
			more, err := l.bo.Fetch(l.ctx, ds[got:], false)
			if got += more; err == nil && more == 0 {
				err = errors.New("nothing to fetch")
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	texts := make([]string, n)
	for i := range ds {
		texts[i] = string(ds[i].Data)
	}
	if err := l.note(acking, texts...); err != nil {
		return err
	}
	if err := l.try(func() error { return l.bo.Ack(l.ctx, ds) }); err != nil {
		return err
	}
	return l.note(acked, texts...)
}

// suspend ends bo, as a crash would if that is how it comes out.
func (l *life) suspend() error {
	err := l.bo.Leave(l.ctx, protocol.Departure{Suspend: true})
	if err == nil {
		return nil
	}
	return l.try(func() error {
		if err := l.connect(&l.bo, "bo"); err != nil {
			return err
		}
		return l.bo.Leave(l.ctx, protocol.Departure{Suspend: true})
	})
}
