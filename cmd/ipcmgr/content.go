package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/serializer"
)

// contentOf gives the content that is an argument, or else, without one or with
// "-", standard input; hint says what to do when that is not one value. null
// comes with an error that matches serializer.ErrNil.
func contentOf(cmd *cobra.Command, s *ipcmgr.Store, args []string, hint string) (json.RawMessage, error) {
	var from string
	var text []byte
	if len(args) > 0 && args[0] != "-" {
		from, text, hint = strconv.Quote(args[0]), []byte(args[0]), `quote text as '"text"'`
	} else {
		var err error
		if text, err = readAll(cmd.Context(), cmd.InOrStdin()); err != nil {
			return nil, fmt.Errorf("standard input: %w", err)
		}
		from = "standard input"
	}
	if err := checkContent(s, text, hint); err != nil {
		return text, usagef(cmd, "%s %w", from, err)
	}
	return text, nil
}

// readAll is io.ReadAll that ends with ctx; a read that is under way stays
// behind.
func readAll(ctx context.Context, r io.Reader) ([]byte, error) {
	type read struct {
		data []byte
		err  error
	}
	done := make(chan read, 1)
	go func() {
		data, err := io.ReadAll(r)
		done <- read{data, err}
	}()
	select {
	case all := <-done:
		return all.data, all.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// checkContent says why text is no content for the store, and what to do.
func checkContent(s *ipcmgr.Store, text []byte, hint string) error {
	if !json.Valid(text) {
		return fmt.Errorf("is not one JSON value: %s", hint)
	}
	ser, err := serializer.Get(s.Info().Serializer)
	if err == nil {
		_, err = ser.AppendContent(nil, json.RawMessage(text)) // it refuses some that JSON allows
	}
	switch {
	case errors.Is(err, serializer.ErrNil):
		return fmt.Errorf("cannot be sent: %w: send {} or [null] instead", err)
	case err != nil:
		return fmt.Errorf("cannot be sent: %w", err)
	}
	return nil
}
