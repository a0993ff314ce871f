// Package threeworkers counts the words of a text with three workers, which
// know each other by their ids: "split" takes texts and sends words to "count",
// which sends totals to "report", which answers the one who asked.
//
// It is here for its test, which runs the workers in processes of their own,
// coordinates them, kills one and has messages come twice.
package threeworkers

import (
	"context"
	"strings"

	"github.com/ipcmgr/ipcmgr"
)

// Text is what "split" is sent. N tells one text from another.
type Text struct {
	N    int
	Text string
}

// words is what "split" sends to "count".
type words struct {
	N     int
	For   string // who asked
	Words []string
}

// Total is what "count" sends to "report", and "report" to the one who asked.
type Total struct {
	N     int
	For   string `json:",omitempty"`
	Words int
}

// Split is the worker "split".
func Split(ctx context.Context, c ipcmgr.Client) error {
	return ipcmgr.Handle(ctx, c, func(ctx context.Context, m *ipcmgr.Message, t Text) error {
		return c.Send(ctx, "count", words{t.N, m.From, strings.Fields(t.Text)})
	})
}

// Count is the worker "count".
func Count(ctx context.Context, c ipcmgr.Client) error {
	return ipcmgr.Handle(ctx, c, func(ctx context.Context, _ *ipcmgr.Message, w words) error {
		return c.Send(ctx, "report", Total{w.N, w.For, len(w.Words)})
	})
}

// Report is the worker "report". Work that was done twice, because a worker was
// killed between the work and the acknowledgement, is reported once.
func Report(ctx context.Context, c ipcmgr.Client) error {
	type text struct {
		asker string
		n     int
	}
	reported := map[text]bool{}
	return ipcmgr.Handle(ctx, c, func(ctx context.Context, _ *ipcmgr.Message, t Total) error {
		if reported[text{t.For, t.N}] {
			return nil
		}
		reported[text{t.For, t.N}] = true
		return c.Send(ctx, t.For, Total{N: t.N, Words: t.Words})
	})
}
