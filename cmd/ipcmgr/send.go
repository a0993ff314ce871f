package main

import (
	"context"
	"encoding/json"
	"fmt"
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
together. Any JSON value but null can be sent.

Messages of one sender arrive in order. Without --as each call is another
sender, and the messages of several calls come in any order.

With --as, what an earlier client of that id left (suspended, crashed) is taken
up and left as it was found; a free id is free again afterwards.`,
		Example: `  ipcmgr send worker '{"path": "/tmp/x"}'
  ipcmgr send --wait 5s worker '"hello"'
  ipcmgr send worker -- -5
  seq 1000 | ipcmgr send --as counter worker -`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if wait < 0 || wait == 0 && cmd.Flags().Changed("wait") {
				return usagef(cmd, "--wait must be longer than 0")
			}
			to, lines := args[0], len(args) == 2 && args[1] == "-"
			return withStore(cmd, func(ctx context.Context, s *ipcmgr.Store) error {
				var content json.RawMessage
				if !lines {
					var err error
					if content, err = contentOf(cmd, s, args[1:], "give one value, or one per line with -"); err != nil {
						return err
					}
				}
				c, err := enterAs(cmd, s, as)
				if err != nil {
					return err
				}
				err = waitFor(ctx, s, to, wait)
				switch {
				case err != nil:
				case lines:
					err = sendLines(ctx, cmd, c, to)
				default:
					err = c.Send(ctx, to, content)
				}
				return c.leave(ctx, err)
			})
		},
	}
	cmd.Flags().StringVar(&as, "as", "", "id to send as (default one that nobody has)")
	cmd.Flags().DurationVar(&wait, "wait", 0, "first wait, so long at most, for TO to be active")
	return cmd
}

func waitFor(ctx context.Context, s *ipcmgr.Store, id string, d time.Duration) error {
	if d == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, d, &timeoutError{fmt.Sprintf("%q was not active within %v", id, d)})
	defer cancel()
	return s.WaitPeer(ctx, id)
}
