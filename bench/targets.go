package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/ipcmgr/ipcmgr/internal/measure"
)

// figure is one number to compare: what a row does in a shape.
type figure struct {
	row   measure.Row
	shape measure.Shape
}

// target compares a figure of ours with one of another lane, or of ours under
// other conditions. Of rates more is better, of trips and allocations less.
type target struct {
	about           string
	ours, theirs    figure
	mallocs         bool // compare nothing: ours is the allocations for a message
	target, stretch float64
}

// The lanes that the targets are about.
const (
	shmName    = "shm+msgpack"
	unixName   = "unixsocket+msgpack"
	fsName     = "fsqueue+msgpack"
	boltName   = "bbolt+msgpack"
	rawName    = "raw unix socket"
	natsName   = "nats core"
	ringName   = "shared ring by hand"
	filesName  = "files by hand"
	normalName = "sqlite normal"
	fullName   = "sqlite full"
)

func of(lane string, size int, shape measure.Shape) figure {
	return figure{measure.Row{Lane: lane, Size: size}, shape}
}

func (f figure) kept() figure {
	f.row.Kept = true
	return f
}

func (f figure) on(p measure.Placement) figure {
	f.row.Placement = p
	return f
}

// memory is a directory on tmpfs.
const memory = "/dev/shm"

func targets() []target {
	const (
		send, batch, crowd, trip = measure.Send, measure.Batch, measure.Crowd, measure.Trip
		one, two                 = measure.One, measure.Two
	)
	all := []target{
		{"shm batch 64 B kept × nats core", of(shmName, 64, batch).kept(), of(natsName, 64, send).kept(), false, 3.5, 0},
		{"shm batch 64 B reused × nats core", of(shmName, 64, batch), of(natsName, 64, send), false, 3.5, 10},
		{"shm send 64 B × nats core", of(shmName, 64, send), of(natsName, 64, send), false, 2.8, 4},
		{"shm send 64 B × raw unix", of(shmName, 64, send), of(rawName, 64, send), false, 9, 14},
		{"shm send 1 KiB reused × nats core", of(shmName, 1024, send), of(natsName, 1024, send), false, 6, 9},
		{"shm batch 1 KiB reused × nats core", of(shmName, 1024, batch), of(natsName, 1024, send), false, 6, 9},
		{"shm batch 1 KiB kept × nats core", of(shmName, 1024, batch).kept(), of(natsName, 1024, send).kept(), false, 1.7, 0},
		{"shm batch 1 KiB × ring by hand", of(shmName, 1024, batch), of(ringName, 1024, batch), false, 0.5, 0.7},
		{"shm batch 64 B × ring by hand", of(shmName, 64, batch), of(ringName, 64, batch), false, 0.25, 0.7},
		{"shm trip 64 B free × raw unix", of(shmName, 64, trip), of(rawName, 64, trip), false, 0.6, 0.1},
		{"shm trip 64 B one processor × raw unix", of(shmName, 64, trip).on(one), of(rawName, 64, trip).on(one), false, 0.95, 0},
		{"shm trip 64 B two processors × raw unix", of(shmName, 64, trip).on(two), of(rawName, 64, trip).on(two), false, 0.6, 0.1},
		{"unixsocket send 1 KiB × raw unix", of(unixName, 1024, send), of(rawName, 1024, send), false, 0.9, 1},
		{"unixsocket batch 1 KiB × nats core", of(unixName, 1024, batch), of(natsName, 1024, send), false, 1.5, 1.8},
		{"unixsocket trip 1 KiB one processor × raw unix", of(unixName, 1024, trip).on(one), of(rawName, 1024, trip).on(one), false, 1.15, 1},
		{"unixsocket trip 1 KiB two processors × raw unix", of(unixName, 1024, trip).on(two), of(rawName, 1024, trip).on(two), false, 1.15, 1},
		{"the same with 200 idle peers one processor × without", of(unixName+" 200 idle", 1024, trip).on(one), of(unixName, 1024, trip).on(one), false, 1.1, 0},
		{"the same with 200 idle peers two processors × without", of(unixName+" 200 idle", 1024, trip).on(two), of(unixName, 1024, trip).on(two), false, 1.1, 0},
		{"fsqueue send 1 KiB × files by hand in -dir", of(fsName, 1024, send), of(filesName, 1024, send), false, 1.1, 1.5},
		{"fsqueue batch × fsqueue send 1 KiB in -dir", of(fsName, 1024, batch), of(fsName, 1024, send), false, 15, 30},
		{"bbolt send 1 KiB × sqlite normal", of(boltName, 1024, send), of(normalName, 1024, send), false, 2.8, 3.3},
		{"bbolt sync send 1 KiB × sqlite full", of(boltName+" sync", 1024, send), of(fullName, 1024, send), false, 0.95, 1.3},
		{"bbolt sync 64 goroutines 1 KiB × sqlite full", of(boltName+" sync", 1024, crowd), of(fullName, 1024, send), false, 12, 20},
		{"bbolt sync batch 1 KiB × sqlite full one by one", of(boltName+" sync", 1024, batch), of(fullName, 1024, send), false, 30, 50},
		{"bbolt batch 1 KiB × sqlite normal batch", of(boltName, 1024, batch), of(normalName, 1024, batch), false, 3, 5},
		{"bbolt sync batch 1 KiB × sqlite full batch", of(boltName+" sync", 1024, batch), of(fullName, 1024, batch), false, 1.7, 2.5},
		{"bbolt trip 1 KiB × sqlite normal", of(boltName, 1024, trip), of(normalName, 1024, trip), false, 2.5, 0.75},
		{"shm send 1 KiB kept: json × msgpack", of("shm+json", 1024, send).kept(), of(shmName, 1024, send).kept(), false, 0.4, 0.5},
		{"shm batch 1 KiB kept: json × msgpack", of("shm+json", 1024, batch).kept(), of(shmName, 1024, batch).kept(), false, 0.4, 0.5},
		{"unixsocket send 1 KiB: json × msgpack", of("unixsocket+json", 1024, send), of(unixName, 1024, send), false, 0.7, 0.85},
		{"allocations shm send 64 B", of(shmName, 64, send), figure{}, true, 1, 0.1},
		{"allocations unixsocket send 1 KiB", of(unixName, 1024, send), figure{}, true, 1, 0.1},
	}
	inMemory := func(f figure) figure { return f }
	if info, err := os.Stat(memory); err == nil && info.IsDir() {
		inMemory = func(f figure) figure {
			f.row.Dir = memory
			return f
		}
		all = append(all,
			target{"fsqueue send 1 KiB × files by hand on tmpfs", inMemory(of(fsName, 1024, send)), inMemory(of(filesName, 1024, send)), false, 1.1, 1.7},
			target{"fsqueue batch × fsqueue send 1 KiB on tmpfs", inMemory(of(fsName, 1024, batch)), inMemory(of(fsName, 1024, send)), false, 15, 30})
	}
	// In memory, because a disk is slower after the files of other rows than before them.
	for _, lane := range []string{shmName, unixName, fsName, boltName} {
		for _, idle := range []int{10, 100, 500} {
			about := fmt.Sprintf("%s send 64 B beside %d idle clients × beside none", strings.TrimSuffix(lane, "+msgpack"), idle)
			all = append(all, target{about, inMemory(of(fmt.Sprintf("%s %d idle", lane, idle), 64, send)), inMemory(of(lane, 64, send)), false, 0.9, 0})
		}
	}
	return all
}

// runTargets measures what the wanted targets compare, and prints how far each
// is reached.
func runTargets(ctx context.Context, p *measure.Plan, parts string) error {
	known := map[string]bool{}
	for _, l := range lanesHere() {
		known[l.Name] = true
	}
	var chosen []target
	var rows taskList
	for _, t := range targets() {
		if !wanted(t.about, parts) {
			continue
		}
		if lane, _, _ := strings.Cut(t.ours.row.Lane, " "); !known[lane] {
			fmt.Fprintf(os.Stderr, "bench: left out: %s\n", t.about)
			continue
		}
		chosen = append(chosen, t)
		rows.add(t.ours)
		if !t.mallocs {
			rows.add(t.theirs)
		}
	}
	if len(chosen) == 0 {
		return fmt.Errorf("no target is about %q", parts)
	}
	p.Tasks, p.Calls = rows, false
	results, failed := p.Run(ctx)
	if p.Progress != nil {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
	}
	if results == nil {
		return failed
	}
	fmt.Printf("%s\nfiles in %s\n\n", measure.ThisMachine(), os.TempDir())
	return errors.Join(failed, printTargets(chosen, results))
}

func printTargets(chosen []target, results []measure.Result) error {
	by := map[measure.Row]map[measure.Shape]measure.Figure{}
	for _, r := range results {
		by[r.Row] = r.Figures
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(out, "WHAT\tTARGET\tSTRETCH\tMEASURED\tIS")
	for _, t := range chosen {
		ours, measured := by[t.ours.row][t.ours.shape]
		if !t.mallocs && measured {
			_, measured = by[t.theirs.row][t.theirs.shape]
		}
		if !measured {
			fmt.Fprintf(out, "%s\t-\t-\t-\tFAILED\n", t.about)
			continue
		}
		var got float64
		less := true
		switch theirs := by[t.theirs.row][t.theirs.shape]; {
		case t.mallocs:
			got = ours.Mallocs
		case ours.Trips != nil:
			got = ours.Trips.P50 / theirs.Trips.P50
		default:
			got, less = ours.Rate/theirs.Rate, false
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%.2f\t%s\n", t.about, bound(t.target, less), bound(t.stretch, less), got, t.verdict(got, less))
	}
	return out.Flush()
}

// bound gives what a target asks for in text.
func bound(v float64, less bool) string {
	switch {
	case v == 0:
		return "-"
	case less:
		return fmt.Sprintf("≤ %g", v)
	}
	return fmt.Sprintf("≥ %g", v)
}

func (t *target) verdict(got float64, less bool) string {
	reaches := func(bound float64) bool { return bound != 0 && (less && got <= bound || !less && got >= bound) }
	switch {
	case reaches(t.stretch):
		return "stretch"
	case reaches(t.target):
		return "reached"
	}
	return "MISSED"
}

// taskList collects what is to be measured, each figure once.
type taskList []measure.Task

func (l *taskList) add(f figure) {
	for i := range *l {
		if t := &(*l)[i]; t.Row == f.row {
			for _, s := range t.Shapes {
				if s == f.shape {
					return
				}
			}
			t.Shapes = append(t.Shapes, f.shape)
			return
		}
	}
	*l = append(*l, measure.Task{Row: f.row, Shapes: []measure.Shape{f.shape}})
}
