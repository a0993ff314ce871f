// Command bench measures ipcmgr beside what a program would use instead, in
// one run: the same work, between two processes, with the same checks. It is a
// module of its own, so that nobody who uses ipcmgr has to compile the others.
//
//	go run .                                    # everything, some minutes
//	go run . -rows shm,nats -size 64,1024 -pin one,two
//	go run . -targets                           # is ipcmgr as fast as it is meant to be?
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ipcmgr/ipcmgr/internal/measure"
	_ "github.com/ipcmgr/ipcmgr/protocol/all"
	_ "github.com/ipcmgr/ipcmgr/serializer/all"
)

// endArg makes this program one end of a lane.
const endArg = "end"

func main() {
	if len(os.Args) == 2 && os.Args[1] == endArg {
		signal.Ignore(os.Interrupt, syscall.SIGTERM) // it ends in order, when it is told to
		if err := measure.Play(find, os.Stdin, os.Stdout); err != nil {
			fatal(err)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fatal(err)
	}
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(1)
}

// options are the flags.
type options struct {
	rows, sizes, pins, reference string
	kept, targets, json, list    bool
}

func run(ctx context.Context) error {
	var o options
	p := &measure.Plan{Find: find}
	flag.StringVar(&o.rows, "rows", "", "lanes to measure: parts of their names, with commas (default all); of targets: parts of what they are about")
	flag.StringVar(&o.sizes, "size", "64,1024", "bytes of a message, with commas")
	flag.StringVar(&o.pins, "pin", "free", "where the processes run, with commas: free, one (all on one processor), two (each end on its own)")
	flag.StringVar(&o.reference, "ref", measure.RawUnix().Name, "the lane that others are compared with")
	flag.BoolVar(&o.kept, "kept", false, "the readers keep each message in memory of its own")
	flag.BoolVar(&o.targets, "targets", false, "measure what is needed to say which targets are reached")
	flag.BoolVar(&o.json, "json", false, "print JSON, an object on each line")
	flag.BoolVar(&o.list, "list", false, "print the names of the lanes")
	flag.IntVar(&p.Rounds, "rounds", 5, "how often each lane is measured")
	flag.DurationVar(&p.Turn, "turn", 200*time.Millisecond, "how long each shape is measured in a round, about")
	flag.IntVar(&p.Messages, "n", 0, "messages of each shape in a round (default: as many as fit into -turn)")
	flag.BoolVar(&p.Calls, "calls", true, "count system calls, if there is strace")
	dir := flag.String("dir", os.TempDir(), "where the files of the lanes are, but those that are to be in memory")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "Usage: bench [flags]")
		flag.PrintDefaults()
		fmt.Fprintf(flag.CommandLine.Output(), "\n%s\n\n%s\n", measure.Notes, measure.Fields)
	}
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flag.Arg(0))
	}
	if p.Rounds < 1 || p.Turn <= 0 || p.Messages < 0 {
		return errors.New("-rounds, -turn and -n must be positive")
	}
	abs, err := filepath.Abs(*dir)
	if err == nil {
		err = os.Setenv("TMPDIR", abs)
	}
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	p.Command = func() *exec.Cmd { return exec.Command(self, endArg) }
	p.Progress = func(step, steps int, row measure.Row) {
		fmt.Fprintf(os.Stderr, "\r\x1b[K%d/%d %s, %d bytes", step, steps, row.Lane, row.Size)
	}
	if !terminal(os.Stderr) {
		p.Progress = nil
	}
	switch {
	case o.list:
		for _, l := range lanesHere() {
			fmt.Println(l.Name)
		}
		return nil
	case o.targets:
		return runTargets(ctx, p, o.rows)
	}
	return o.table(ctx, p)
}

// table measures what the flags ask for and prints it.
func (o *options) table(ctx context.Context, p *measure.Plan) error {
	if err := o.tasks(p); err != nil {
		return err
	}
	results, failed := p.Run(ctx)
	if p.Progress != nil {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
	}
	if results == nil {
		return failed
	}
	return errors.Join(failed, o.print(results))
}

func (o *options) print(results []measure.Result) error {
	machine := measure.ThisMachine()
	if o.json {
		for _, r := range results {
			line, err := json.Marshal(struct {
				measure.Result
				Machine measure.Machine `json:"machine"`
			}{r, machine})
			if err != nil {
				return err
			}
			fmt.Println(string(line))
		}
		return nil
	}
	fmt.Printf("%s\nfiles in %s; REF is %s\n\n", machine, os.TempDir(), o.reference)
	if err := measure.Table(os.Stdout, results, o.reference); err != nil {
		return err
	}
	fmt.Printf("\n%s\n", measure.Notes)
	return nil
}

// tasks adds what is to be measured.
func (o *options) tasks(p *measure.Plan) error {
	sizes, err := measure.Sizes(strings.Split(o.sizes, ","))
	if err != nil {
		return fmt.Errorf("-size %w", err)
	}
	all := lanesHere()
	for part := range strings.SplitSeq(o.rows, ",") {
		if !slices.ContainsFunc(all, func(l measure.Lane) bool { return strings.Contains(l.Name, part) }) {
			return fmt.Errorf("no lane has %q in its name: -list lists them", part)
		}
	}
	var chosen []measure.Lane
	for _, l := range all {
		if wanted(l.Name, o.rows) || l.Name == o.reference {
			chosen = append(chosen, l)
		}
	}
	if !slices.ContainsFunc(chosen, func(l measure.Lane) bool { return l.Name == o.reference }) {
		return fmt.Errorf("there is no lane %q: -list lists them", o.reference)
	}
	seen := map[measure.Row]bool{}
	for pin := range strings.SplitSeq(o.pins, ",") {
		if !slices.Contains([]measure.Placement{measure.Free, measure.One, measure.Two}, measure.Placement(pin)) {
			return fmt.Errorf("-pin %q must be %s, %s or %s", pin, measure.Free, measure.One, measure.Two)
		}
		for _, size := range sizes {
			for _, l := range chosen {
				row := measure.Row{Lane: l.Name, Size: size, Kept: o.kept, Placement: measure.Placement(pin)}
				if !seen[row] {
					seen[row] = true
					p.Tasks = append(p.Tasks, measure.Task{Row: row, Shapes: shapes(l)})
				}
			}
		}
	}
	return nil
}

// shapes are those that a lane can be measured in.
func shapes(l measure.Lane) []measure.Shape {
	one := []measure.Shape{measure.Send, measure.Batch}
	if l.Join == nil { // there is nobody to answer
		return one
	}
	return append(one, measure.Trip, measure.Idle)
}

// wanted says whether a name has one of the parts, or none are given.
func wanted(name, parts string) bool {
	return parts == "" || slices.ContainsFunc(strings.Split(parts, ","), func(part string) bool { return strings.Contains(name, part) })
}

// terminal says whether a person looks at it.
func terminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
