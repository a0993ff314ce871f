package main

import (
	"context"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// An interrupt ends a command that waits for its standard input.
func TestReadAllInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancelCause(t.Context())
	r, w := io.Pipe()
	defer w.Close() // ends the read that is left behind
	go func() {
		_, _ = w.Write([]byte("1")) // returns when it is being read
		interrupt(errInterrupted)
	}()
	_, err := readAll(ctx, r)
	require.ErrorIs(t, err, errInterrupted)
}
