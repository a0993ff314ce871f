package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/ipcmgr/ipcmgr"
)

// A batch is sent when it is as large as this, or when no further line is
// there yet.
const (
	batchLines = 256
	batchBytes = 1 << 20
)

// line is one line of standard input, or why there are no more.
type line struct {
	content json.RawMessage
	err     error // io.EOF at the end
}

// sendLines sends each line of standard input as one message.
func sendLines(ctx context.Context, cmd *cobra.Command, c ipcmgr.Client, to string) error {
	lines := make(chan line, batchLines)
	quit := make(chan struct{})
	defer close(quit)
	go readLines(cmd, c.Store(), lines, quit)
	sent := 0
	for {
		batch, err := nextBatch(ctx, lines)
		if len(batch) > 0 {
			n, sendErr := c.SendBatch(ctx, to, batch...)
			sent += n
			if sendErr != nil {
				err = sendErr
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && sent > 0:
			return fmt.Errorf("after %s: %w", counted(sent, "accepted message"), err)
		case err != nil:
			return err
		}
	}
}

// nextBatch waits for one line and takes those that are there beside it. The
// error says why there will be no more.
func nextBatch(ctx context.Context, lines <-chan line) (batch []any, err error) {
	var l line
	for size := 0; len(batch) < batchLines && size < batchBytes; size += len(l.content) {
		if len(batch) == 0 {
			select {
			case l = <-lines:
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		} else {
			select {
			case l = <-lines:
			default:
				return batch, nil
			}
		}
		if l.err != nil {
			return batch, l.err
		}
		batch = append(batch, l.content)
	}
	return batch, nil
}

// readLines reads lines, at most twice as long as a message, until the end, or
// until quit is closed: then it ends with the read that is under way. Empty
// lines do not count as messages.
func readLines(cmd *cobra.Command, s *ipcmgr.Store, lines chan<- line, quit <-chan struct{}) {
	tell := func(l line) bool {
		select {
		case lines <- l:
			return l.err == nil
		case <-quit:
			return false
		}
	}
	in := bufio.NewScanner(cmd.InOrStdin())
	in.Buffer(nil, 2*s.MaxMessage())
	n := 0
	for in.Scan() {
		n++
		text := bytes.TrimSpace(in.Bytes())
		if len(text) == 0 {
			continue
		}
		l := line{content: bytes.Clone(text)}
		if err := checkContent(s, text, `quote text as "text"`); err != nil {
			l.err = usagef(cmd, "line %d of standard input %w", n, err)
		}
		if !tell(l) {
			return
		}
	}
	err := in.Err()
	if err == nil {
		err = io.EOF
	} else {
		err = fmt.Errorf("line %d of standard input: %w", n+1, err)
	}
	tell(line{err: err})
}
