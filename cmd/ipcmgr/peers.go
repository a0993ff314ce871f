package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ipcmgr/ipcmgr"
)

func newPeers() *cobra.Command {
	var asJSON, watch bool
	cmd := &cobra.Command{
		Use:   "peers",
		Short: "List the clients of the store",
		Long: `List the clients of the store: active, suspended and crashed ones.

With --watch, print each client as it is now and again whenever it changes, the
last time as gone, until interrupted or until the store is gone.`,
		Example: `  ipcmgr peers
  ipcmgr peers --watch --json | jq -r 'select(.state == "crashed").id'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd, func(ctx context.Context, s *ipcmgr.Store) error {
				if watch {
					return watchPeers(cmd, s, asJSON)
				}
				peers, err := s.Peers(ctx)
				if err != nil {
					return err
				}
				out := newPrinter(cmd, asJSON, "ID", "STATE", "PID", "SINCE", "UNTIL", "ATTRIBUTES")
				for _, p := range peers {
					printPeer(out, p)
				}
				return out.flush()
			})
		},
	}
	cmd.Flags().BoolVar(&watch, "watch", false, "go on and print what changes")
	addJSON(cmd, &asJSON)
	return cmd
}

// watchPeers prints each change as soon as it is known. Its columns have no
// heading: they go on for ever.
func watchPeers(cmd *cobra.Command, s *ipcmgr.Store, asJSON bool) error {
	for p, err := range s.Watch(cmd.Context()) {
		switch {
		case errors.Is(err, errInterrupted), errors.Is(err, ipcmgr.ErrNoStore):
			return nil
		case err != nil:
			return err
		}
		out := &printer{out: cmd.OutOrStdout(), json: asJSON}
		if asJSON {
			out.row(seenOf(p))
		} else {
			out.line(peerCells(p)...)
		}
		if err := out.flush(); err != nil {
			return err
		}
	}
	return nil
}

// seen is a peer as it is printed.
type seen struct {
	ID    string            `json:"id"`
	State string            `json:"state"`
	PID   int               `json:"pid"`
	Since *time.Time        `json:"since,omitempty"`
	Until *time.Time        `json:"until,omitempty"`
	Attrs map[string]string `json:"attrs"`
}

func seenOf(p ipcmgr.Peer) seen {
	v := seen{ID: p.ID, State: p.State.String(), PID: p.PID, Attrs: p.Attrs}
	if v.Attrs == nil {
		v.Attrs = map[string]string{}
	}
	if !p.Since.IsZero() {
		t := p.Since.UTC()
		v.Since = &t
	}
	if !p.Until.IsZero() {
		t := p.Until.UTC()
		v.Until = &t
	}
	return v
}

func printPeer(out *printer, p ipcmgr.Peer) { out.row(seenOf(p), peerCells(p)...) }

func peerCells(p ipcmgr.Peer) []string {
	var attrs []string
	for _, k := range slices.Sorted(maps.Keys(p.Attrs)) {
		attrs = append(attrs, fmt.Sprintf("%s=%q", printable(k), p.Attrs[k]))
	}
	return []string{p.ID, p.State.String(), strconv.Itoa(p.PID), clock(p.Since), clock(p.Until), strings.Join(attrs, " ")}
}

func clock(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05.000")
}
