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

func newRecv() *cobra.Command {
	var r receiver
	cmd := &cobra.Command{
		Use:   "recv --as ID [flags]",
		Short: "Receive messages and print them as JSON lines",
		Long: `Receive messages and print each as one line of JSON:

  {"id","from","to","time","broadcast","redelivered","headers","content"}

A message is acknowledged after it was printed: one that was not printed in
full comes again, where the protocol keeps mailboxes. What an earlier client of
the id left is taken up. At the end the client is suspended, so that its
mailbox stays, where the protocol can; otherwise it is disconnected.

It ends after -n messages, at SIGINT or SIGTERM, when the store's owner asks to
terminate, when the parent that has it as a child (package proc) has ended
(status 0 in each case), or with --timeout (status 4).`,
		Example: `  ipcmgr recv --as worker
  ipcmgr recv --as worker -n 1 --timeout 5s | jq .content
  ipcmgr recv --as worker -n 0   # its mailbox takes messages from now on`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case r.as == "":
				return usagef(cmd, "--as ID is needed: whose messages?")
			case r.most < 0 && cmd.Flags().Changed("number"):
				return usagef(cmd, "-n must not be negative")
			case r.timeout < 0 || r.timeout == 0 && cmd.Flags().Changed("timeout"):
				return usagef(cmd, "--timeout must be longer than 0")
			}
			r.out, r.log = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return withStore(cmd, func(ctx context.Context, s *ipcmgr.Store) error {
				if r.most == 0 && !r.disconnect && !s.Features().Suspends {
					return fmt.Errorf("recv -n 0: %w: %s keeps no mailbox for who is away", errors.ErrUnsupported, s.Info().Protocol)
				}
				c, err := s.Connect(ctx, r.as, ipcmgr.Resume(), logTo(cmd.ErrOrStderr()))
				if errors.Is(err, errInterrupted) {
					return nil
				}
				if err != nil {
					return err
				}
				err = r.receive(ctx, c)
				if errors.Is(err, ipcmgr.ErrNoStore) {
					return err // nothing is left that could be left
				}
				return errors.Join(err, r.leave(ctx, c))
			})
		},
	}
	cmd.Flags().StringVar(&r.as, "as", "", "id to receive as")
	cmd.Flags().IntVarP(&r.most, "number", "n", -1, "end after so many messages (default: go on until interrupted)")
	cmd.Flags().DurationVar(&r.timeout, "timeout", 0, "end with status 4 when no message came for so long")
	cmd.Flags().BoolVar(&r.disconnect, "disconnect", false, "leave for good at the end, and count what is unread as dropped")
	return cmd
}

type receiver struct {
	as         string
	most       int
	timeout    time.Duration
	disconnect bool
	out, log   io.Writer
}

// receive prints messages until one of its ends. What Receive hands out, the
// next Receive or the leaving acknowledges.
func (r *receiver) receive(ctx context.Context, c ipcmgr.Client) error {
	for n := 0; n != r.most; n++ {
		m, err := r.next(ctx, c)
		if errors.Is(err, ipcmgr.ErrTerminated) || errors.Is(err, errInterrupted) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := r.print(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

func (r *receiver) next(ctx context.Context, c ipcmgr.Client) (*ipcmgr.Message, error) {
	if r.timeout == 0 {
		return c.Receive(ctx)
	}
	timed, cancel := context.WithTimeoutCause(ctx, r.timeout, &timeoutError{fmt.Sprintf("no message came for %v", r.timeout)})
	defer cancel()
	m, err := c.Receive(timed)
	if !errors.As(err, new(*timeoutError)) {
		return m, err
	}
	// The time may have been over before anybody looked.
	if ms, err := c.Poll(ctx, 1); err != nil || len(ms) > 0 {
		return append(ms, nil)[0], err
	}
	return nil, err
}

// leave suspends where that is possible and wanted.
func (r *receiver) leave(ctx context.Context, c ipcmgr.Client) error {
	ctx, cancel := leaving(ctx)
	defer cancel()
	if !r.disconnect && c.Store().Features().Suspends {
		return c.Suspend(ctx, time.Time{})
	}
	return c.Disconnect(ctx, nil)
}

// printed is a message as recv prints it.
type printed struct {
	ID          string            `json:"id"`
	From        string            `json:"from"`
	To          string            `json:"to"`
	Time        time.Time         `json:"time"`
	Broadcast   bool              `json:"broadcast"`
	Redelivered bool              `json:"redelivered"`
	Headers     map[string]string `json:"headers"`
	Content     json.RawMessage   `json:"content"`
}

// print prints a message, or puts it back. One that has no form in JSON would
// come again and again: it is set aside.
func (r *receiver) print(ctx context.Context, m *ipcmgr.Message) error {
	p := printed{
		ID: m.ID, From: m.From, To: m.To, Time: m.Time.UTC(),
		Broadcast: m.Broadcast, Redelivered: m.Redelivered, Headers: m.Headers,
	}
	if p.Headers == nil {
		p.Headers = map[string]string{}
	}
	if err := m.Decode(&p.Content); err != nil {
		fmt.Fprintf(r.log, "ipcmgr: set aside: %s\n", oneLine(err.Error()))
		return m.Reject(ctx, err)
	}
	if err := printJSON(r.out, p); err != nil {
		return errors.Join(fmt.Errorf("print %v: %w", m, err), m.Requeue())
	}
	return nil
}
