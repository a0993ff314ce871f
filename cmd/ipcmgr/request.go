package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/serializer"
	"github.com/ipcmgr/ipcmgr/service"
)

func newRequest() *cobra.Command {
	var as string
	var raw bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "request [flags] SERVICE METHOD [JSON|-]",
		Short: "Call a service and print its answer",
		Long: `Call a method of a service and print its answer as JSON. JSON is what the
method is called with; "-" takes it from standard input.

With --raw the request is the JSON itself: that is what a service of Perl's
IPC::Manager gets, and the catch-all of any other. Without JSON it is what
standard input holds.

Every service has the methods ipcmgr.ping, ipcmgr.info and ipcmgr.stats.

With --as, what an earlier client of that id left (suspended, crashed) is taken
up and left as it was found; a free id is free again afterwards.`,
		Example: `  ipcmgr request calc add '[1, 2]'
  ipcmgr request calc negate -- -5
  ipcmgr request --timeout 5s calc ipcmgr.stats
  ipcmgr request --raw perlservice '{"action": "status"}'`,
		Args: func(cmd *cobra.Command, args []string) error {
			if raw {
				return cobra.RangeArgs(1, 2)(cmd, args)
			}
			return cobra.RangeArgs(2, 3)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if timeout < 0 || timeout == 0 && cmd.Flags().Changed("timeout") {
				return usagef(cmd, "--timeout must be longer than 0")
			}
			q := question{service: args[0], raw: raw, timeout: timeout}
			rest := args[1:]
			if !raw {
				q.method, rest = args[1], args[2:]
			}
			return withStore(cmd, func(ctx context.Context, s *ipcmgr.Store) error {
				if raw || len(rest) > 0 {
					var err error
					q.args, err = contentOf(cmd, s, rest, "give one")
					if err != nil && !errors.Is(err, serializer.ErrNil) { // a request may be null
						return err
					}
				}
				g, err := enterAs(cmd, s, as)
				if err != nil {
					return err
				}
				c := service.NewCaller(g.Client)
				answer, err := q.ask(ctx, c)
				c.Close()
				if err == nil {
					err = printJSON(cmd.OutOrStdout(), answer)
				}
				return g.leave(ctx, err)
			})
		},
	}
	cmd.Flags().StringVar(&as, "as", "", "id to call as (default one that nobody has)")
	cmd.Flags().BoolVar(&raw, "raw", false, "send JSON itself as the request, without a method")
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "wait so long at most for the answer (default for ever)")
	return cmd
}

// question is what a service is asked.
type question struct {
	service, method string
	args            json.RawMessage // nil: none
	raw             bool
	timeout         time.Duration
}

func (q *question) ask(ctx context.Context, c *service.Caller) (json.RawMessage, error) {
	if q.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, q.timeout, &timeoutError{fmt.Sprintf("%q did not answer within %v", q.service, q.timeout)})
		defer cancel()
	}
	answer, err := q.call(ctx, c)
	if err == nil && answer == nil {
		answer = json.RawMessage("null")
	}
	if errors.Is(err, service.TimedOut) { // the service looked at the clock before we did
		err = &timeoutError{err.Error()}
	}
	return answer, err
}

func (q *question) call(ctx context.Context, c *service.Caller) (json.RawMessage, error) {
	var args any
	if q.args != nil {
		args = q.args
	}
	if q.raw {
		return service.CallRaw[json.RawMessage](ctx, c, q.service, args)
	}
	return service.Call[json.RawMessage](ctx, c, q.service, q.method, args)
}
