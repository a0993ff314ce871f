package measure

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Notes says what the columns of a table are.
const Notes = `SEND: messages in a second, sent one by one; BATCH: 100 at a time; × REF: as
many times the reference. TRIP: there and back, in microseconds; IDLE: the
median after 10 ms in which nothing happened. Of SEND/BATCH, in all processes:
CPU: seconds of processors for a million messages; ALLOCS and CALLS: allocations
and system calls (counted by strace) for one message. KEEPS: what becomes of an
accepted message, or why the row failed.`

// Fields says what the fields of a Result are in JSON.
const Fields = `In JSON each line is a row: lane; size: bytes of a message; kept: the reader kept
each message in memory of its own; placement: on which processors; dir: where
files were to be, if that was chosen; durable: what becomes of an accepted
message; error: why the row failed, if it did; figures, by shape: send, batch
(100 at a time), crowd (by 64 goroutines), trip (there and back), idle (a trip
after 10 ms in which nothing happened); machine: cpu, cpus, system, go,
gomaxprocs, gogc.
A figure has, as medians of the rounds:
  messages           in a round
  rate               messages in a second
  cpu_s_per_million  seconds of processors for a million messages
  allocations        for one message
  system_calls       for one message; null if they were not counted
  trips              p50_us, p99_us, p999_us: percentiles of all trips, in
                     microseconds; null where there were too few`

var columns = []string{
	"LANE", "BYTES", "SEND", "× REF", "BATCH", "× REF", "TRIP P50", "× REF", "P99", "P99.9",
	"IDLE", "CPU", "ALLOCS", "CALLS", "KEEPS",
}

// Table prints results, each beside that of the reference lane for messages of
// the same size on the same processors.
func Table(w io.Writer, results []Result, reference string) error {
	out := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(out, strings.Join(columns, "\t"))
	for _, r := range results {
		ref := referenceOf(r, results, reference)
		fmt.Fprintln(out, strings.Join(cells(r, ref), "\t"))
	}
	return out.Flush()
}

// referenceOf finds what r is compared with.
func referenceOf(r Result, results []Result, reference string) Result {
	var ref Result
	for _, other := range results {
		if other.Lane == reference && other.Size == r.Size && other.Placement == r.Placement && (ref.Lane == "" || other.Kept == r.Kept) {
			ref = other
		}
	}
	return ref
}

func cells(r, ref Result) []string {
	name := r.Lane
	if r.Placement != "" && r.Placement != Free {
		name += ", " + string(r.Placement)
	}
	if r.Kept {
		name += ", kept"
	}
	send, batch, trip, idle := r.Figures[Send], r.Figures[Batch], r.Figures[Trip], r.Figures[Idle]
	if r.Error != "" {
		line := slices.Repeat([]string{"-"}, len(columns))
		line[0], line[1], line[len(line)-1] = name, fmt.Sprint(r.Size), "FAILED: "+r.Error
		return line
	}
	line := []string{
		name, fmt.Sprint(r.Size),
		rate(send.Rate), ratioOf(send.Rate, ref.Figures[Send].Rate),
		rate(batch.Rate), ratioOf(batch.Rate, ref.Figures[Batch].Rate),
	}
	line = append(line, tripCells(trip.Trips, ref.Figures[Trip].Trips)...)
	if idle.Trips == nil {
		line = append(line, "-")
	} else {
		line = append(line, figure(idle.Trips.P50))
	}
	return append(line,
		figure(send.CPU)+"/"+figure(batch.CPU),
		figure(send.Mallocs)+"/"+figure(batch.Mallocs),
		calls(send, batch),
		r.Durable)
}

func tripCells(t, ref *Trips) []string {
	line := []string{"-", "-", "-", "-"}
	if t == nil {
		return line
	}
	line[0], line[2] = figure(t.P50), figure(t.P99)
	if ref != nil {
		line[1] = ratioOf(t.P50, ref.P50)
	}
	if t.P999 != nil {
		line[3] = figure(*t.P999)
	}
	return line
}

func calls(send, batch Figure) string {
	if send.Calls == nil || batch.Calls == nil {
		return "-"
	}
	return figure(*send.Calls) + "/" + figure(*batch.Calls)
}

// ratioOf gives a/b in text, "-" where there is none.
func ratioOf(a, b float64) string {
	switch ratio := a / b; {
	case a == 0 || b == 0:
		return "-"
	case ratio < 0.095:
		return fmt.Sprintf("%.2g", ratio)
	default:
		return figure(ratio)
	}
}

// rate gives messages in a second in text.
func rate(r float64) string {
	switch {
	case r == 0:
		return "-"
	case r >= 1e6:
		return figure(r/1e6) + " M"
	case r >= 1e3:
		return figure(r/1e3) + " k"
	}
	return figure(r)
}

// figure gives about three figures of a number.
func figure(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
