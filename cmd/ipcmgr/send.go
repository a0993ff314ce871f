package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/ipcmgr/ipcmgr"
)

func newSend() *cobra.Command {
	var as string
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "send [flags] TO [JSON|-]",
		Short: "Send a message to one client",
		Long: `Send a message to one client, and end when its mailbox has accepted it.

Without JSON the content is what standard input holds. With "-" each line of
standard input is the content of a message; lines that come together are sent
together.

With --as, what an earlier client of that id left (suspended, crashed) is taken
up and left as it was found; a free id is free again afterwards.`,
		Example: `  ipcmgr send worker '{"path": "/tmp/x"}'
  ipcmgr send --wait 5s worker '"hello"'
  seq 1000 | ipcmgr send --as counter worker -`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if wait < 0 || wait == 0 && cmd.Flags().Changed("wait") {
				return usagef(cmd, "--wait must be longer than 0")
			}
			to, lines := args[0], len(args) == 2 && args[1] == "-"
			var content json.RawMessage
			if !lines {
				var err error
				if content, err = contentOf(cmd, args[1:]); err != nil {
					return err
				}
			}
			return withStore(cmd, func(ctx context.Context, s *ipcmgr.Store) error {
				c, err := enterAs(cmd, s, as)
				if err != nil {
					return err
				}
				err = waitFor(ctx, s, to, wait)
				switch {
				case err != nil:
				case lines:
					err = sendLines(ctx, c, to, cmd.InOrStdin())
				default:
					err = c.Send(ctx, to, content)
				}
				return errors.Join(err, c.leave(ctx))
			})
		},
	}
	cmd.Flags().StringVar(&as, "as", "", "id to send as (default one that nobody has)")
	cmd.Flags().DurationVar(&wait, "wait", 0, "first wait, so long at most, for TO to be active")
	return cmd
}

// contentOf gives the content that is an argument, or else standard input.
func contentOf(cmd *cobra.Command, args []string) (json.RawMessage, error) {
	if len(args) > 0 {
		if !json.Valid([]byte(args[0])) {
			return nil, usagef(cmd, "%q is not JSON: quote text as '\"text\"'", args[0])
		}
		return json.RawMessage(args[0]), nil
	}
	data, err := io.ReadAll(cmd.InOrStdin())
	if err != nil {
		return nil, fmt.Errorf("standard input: %w", err)
	}
	if !json.Valid(data) {
		return nil, errors.New("standard input is not one JSON value: give one per line with -")
	}
	return data, nil
}

func waitFor(ctx context.Context, s *ipcmgr.Store, id string, d time.Duration) error {
	if d == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, d, &timeoutError{fmt.Sprintf("%q was not active within %v", id, d)})
	defer cancel()
	return s.WaitPeer(ctx, id)
}
