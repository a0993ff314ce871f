package trial

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// journal is what a life wrote down, by mark.
type journal map[string][]string

// read skips what others wrote to the same place.
func read(text string) journal {
	j := journal{}
	for line := range strings.Lines(text) {
		mark, message, ok := strings.Cut(line, "message ")
		if ok && strings.HasSuffix(message, "\n") {
			j[mark] = append(j[mark], strings.TrimSpace(message))
		}
	}
	return j
}

// Accepted says how many messages a life was told that they are accepted.
func Accepted(text string) int { return len(read(text)[accepted]) }

// Judge says what is wrong with the store that a life has left, given its
// journal, or nil: everything that was accepted and perhaps not acknowledged is
// there, in order; nothing else is; and the store works on.
func Judge(ctx context.Context, st protocol.Store, text string) error {
	j := read(text)
	connect := func(id string) (protocol.Mailbox, error) {
		return st.Connect(ctx, protocol.ConnectOptions{ID: id, Mode: protocol.Resume})
	}
	bo, err := connect("bo")
	if err != nil {
		return err
	}
	got, err := drain(ctx, bo)
	if err != nil {
		return err
	}
	for _, text := range j[accepted] {
		if !slices.Contains(j[acking], text) && !slices.Contains(got, text) {
			return fmt.Errorf("message %s was accepted and is lost; %v are there", text, got)
		}
	}
	for i, text := range got {
		switch {
		case !slices.Contains(j[sending], text):
			return fmt.Errorf("nobody sent message %q", text)
		case slices.Contains(j[refused], text):
			return fmt.Errorf("message %s was refused and arrived", text)
		case slices.Contains(j[acked], text):
			return fmt.Errorf("message %s was acknowledged and came again", text)
		case i > 0 && slices.Index(j[sending], got[i-1]) >= slices.Index(j[sending], text):
			return fmt.Errorf("out of order, or twice: %v", got)
		}
	}
	al, err := connect("al")
	if err != nil {
		return err
	}
	if _, err := al.Deliver(ctx, "bo", []protocol.Frame{{Data: []byte("message after")}}, false); err != nil {
		return err
	}
	if got, err = drain(ctx, bo); err != nil || len(got) != 1 || got[0] != "after" {
		return fmt.Errorf("the store does not work on: %v, %w", got, err)
	}
	return nil
}

// drain takes all that a mailbox has.
func drain(ctx context.Context, m protocol.Mailbox) (texts []string, err error) {
	ds := make([]protocol.Delivery, 100)
	for {
		n, err := m.Fetch(ctx, ds, false)
		if err != nil || n == 0 {
			return texts, err
		}
		for _, d := range ds[:n] {
			texts = append(texts, strings.TrimPrefix(string(d.Data), "message "))
		}
		if err := m.Ack(ctx, ds[:n]); err != nil {
			return texts, err
		}
	}
}
