package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ipcmgr/ipcmgr/internal/measure"
	"github.com/ipcmgr/ipcmgr/internal/measure/lanes"
	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/ipcmgr/ipcmgr/serializer"
)

const (
	benchRounds = 5
	benchTurn   = 100 * time.Millisecond
	all         = "all"
)

func newBench() *cobra.Command {
	var b bench
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure how fast messages are on this machine",
		Long: `Measure how fast messages are between two processes on this machine, over
temporary stores of each protocol, beside a unix socket that is written to by
hand. Where a protocol can, it is measured with and without sync. A protocol
that does not work here is left out and named, with the reason.

All take turns in ` + fmt.Sprint(benchRounds) + ` rounds; rates are the medians. The reader checks the number and
the checksum of every message: one that is lost, repeated, damaged or out of
order fails the row, and with it the command when the others are measured. It
takes a few seconds for each line of the table.

` + measure.Notes + `

` + measure.Fields,
		Example: `  ipcmgr bench
  ipcmgr bench --protocol shm,unixsocket --serializer msgpack --size 64,1024,65536
  ipcmgr bench --protocol fsqueue -n 10000 --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			plan, err := b.plan(cmd)
			if err != nil {
				return err
			}
			return b.run(cmd.Context(), plan, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringSliceVar(&b.protocols, "protocol", []string{all}, "protocols, or "+all)
	cmd.Flags().StringSliceVar(&b.serializers, "serializer", []string{all}, "serializers, or "+all)
	cmd.Flags().StringSliceVar(&b.sizes, "size", []string{"64", "1024"}, "bytes of a message")
	cmd.Flags().IntVarP(&b.messages, "messages", "n", 0, "messages of each measurement in a round (default: as many as take about "+benchTurn.String()+")")
	addJSON(cmd, &b.json)
	completeNames(cmd)
	return cmd
}

// bench is one run.
type bench struct {
	protocols, serializers, sizes []string
	messages                      int
	json                          bool
}

// mostMessages bounds one measurement.
const mostMessages = 10_000_000

// plan is what the flags ask for.
func (b *bench) plan(cmd *cobra.Command) (*measure.Plan, error) {
	sizes, err := measure.Sizes(b.sizes)
	if err != nil {
		return nil, usagef(cmd, "--size %w", err)
	}
	if cmd.Flags().Changed("messages") && (b.messages < 1 || b.messages > mostMessages) {
		return nil, usagef(cmd, "-n %d must be from 1 to %d", b.messages, mostMessages)
	}
	stores, err := b.stores(cmd)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("bench: which program to start: %w", err)
	}
	p := &measure.Plan{
		Rounds: benchRounds, Turn: benchTurn, Messages: b.messages, Calls: true,
		Find:    lanes.Find,
		Command: func() *exec.Cmd { return exec.Command(self, "bench-end") },
	}
	shapes := []measure.Shape{measure.Send, measure.Batch, measure.Trip, measure.Idle}
	for _, size := range sizes {
		names := []string{measure.RawUnix().Name}
		for _, s := range stores {
			names = append(names, s.Name())
		}
		for _, name := range names {
			p.Tasks = append(p.Tasks, measure.Task{Row: measure.Row{Lane: name, Size: size}, Shapes: shapes})
		}
	}
	return p, nil
}

// stores lists those to measure. What does not work here is said on standard
// error.
func (b *bench) stores(cmd *cobra.Command) ([]lanes.Store, error) {
	outside := slices.DeleteFunc(protocol.Names(), func(name string) bool { return name == "mem" })
	protocols, serializers := chosen(b.protocols, outside), chosen(b.serializers, serializer.Names())
	if len(protocols) == 0 || len(serializers) == 0 {
		return nil, usagef(cmd, "an empty list measures nothing: name what to measure, or all")
	}
	var stores []lanes.Store
	for _, name := range protocols {
		if name == "mem" {
			return nil, usagef(cmd, "mem lives in one process and cannot reach others: choose another --protocol")
		}
		p, err := protocol.Get(name)
		if err != nil {
			return nil, usagef(cmd, "--protocol: %w", err)
		}
		if err := p.Viable(); err != nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "ipcmgr: %s is left out: %v\n", name, err)
			continue
		}
		for _, ser := range serializers {
			of, err := lanes.Stores(name, ser)
			if err != nil {
				return nil, usagef(cmd, "--serializer: %w", err)
			}
			stores = append(stores, of...)
		}
	}
	if len(stores) == 0 {
		return nil, fmt.Errorf("bench: none of %s works here", strings.Join(protocols, ", "))
	}
	return stores, nil
}

// chosen gives each name once, and every one for all.
func chosen(names, every []string) (chosen []string) {
	for _, name := range names {
		those := []string{name}
		if name == all {
			those = every
		}
		for _, name := range those {
			if !slices.Contains(chosen, name) {
				chosen = append(chosen, name)
			}
		}
	}
	return chosen
}

// run measures and prints, also when some rows have failed.
func (b *bench) run(ctx context.Context, plan *measure.Plan, stdout, stderr io.Writer) error {
	bar := newProgress(stderr)
	plan.Progress = func(step, steps int, row measure.Row) {
		bar.step(step, steps, fmt.Sprintf("%s, %d bytes", row.Lane, row.Size))
	}
	results, failed := plan.Run(ctx)
	bar.clear()
	if failed != nil {
		failed = fmt.Errorf("bench: %w", failed)
	}
	if results == nil {
		return failed
	}
	return errors.Join(failed, b.print(stdout, results))
}

func (b *bench) print(stdout io.Writer, results []measure.Result) error {
	machine := measure.ThisMachine()
	if b.json {
		for _, r := range results {
			line := struct {
				measure.Result
				Machine measure.Machine `json:"machine"`
			}{r, machine}
			if err := printJSON(stdout, line); err != nil {
				return err
			}
		}
		return nil
	}
	fmt.Fprintf(stdout, "%s\nfiles in %s; REF is %s\n\n", machine, os.TempDir(), measure.RawUnix().Name)
	if err := measure.Table(stdout, results, measure.RawUnix().Name); err != nil {
		return err
	}
	_, err := fmt.Fprintf(stdout, "\n%s\n", measure.Notes)
	return err
}

// newBenchEnd is what bench starts: a process that is one end.
func newBenchEnd() *cobra.Command {
	return &cobra.Command{
		Use:    "bench-end",
		Hidden: true,
		Args:   noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return measure.Play(lanes.Find, cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}
