package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

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
	number  int
	content json.RawMessage
	err     error // io.EOF at the end
}

// sendLines sends each line that r holds as one message.
func sendLines(ctx context.Context, c ipcmgr.Client, to string, r io.Reader) error {
	lines := make(chan line, batchLines)
	quit := make(chan struct{})
	defer close(quit)
	go readLines(r, 2*c.Store().MaxMessage(), lines, quit)
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
		case err != nil:
			return fmt.Errorf("%w; %d messages were accepted before", err, sent)
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

// readLines reads lines of at most so many bytes until the end, or until quit
// is closed: then it ends with the read that is under way. Empty lines do not
// count as messages.
func readLines(r io.Reader, most int, lines chan<- line, quit <-chan struct{}) {
	tell := func(l line) bool {
		select {
		case lines <- l:
			return l.err == nil
		case <-quit:
			return false
		}
	}
	in := bufio.NewScanner(r)
	in.Buffer(nil, most)
	n := 0
	for in.Scan() {
		n++
		text := bytes.TrimSpace(in.Bytes())
		if len(text) == 0 {
			continue
		}
		l := line{number: n, content: bytes.Clone(text)}
		if !json.Valid(text) {
			l.err = fmt.Errorf("line %d of standard input is not JSON: quote text as \"text\"", n)
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
