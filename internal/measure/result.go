package measure

import (
	"slices"
	"time"
)

// Result is what was measured of a row.
type Result struct {
	Row
	Durable string           `json:"durable"`
	Error   string           `json:"error,omitempty"` // why it failed; then there are no figures
	Figures map[Shape]Figure `json:"figures"`
}

// Figure is what was measured of one shape: medians of the rounds, and
// percentiles of the trips of all rounds. Costs are those of all processes of
// the lane.
type Figure struct {
	Messages int      `json:"messages"`          // in each round
	Rate     float64  `json:"rate"`              // messages in a second
	CPU      float64  `json:"cpu_s_per_million"` // seconds of processors for a million messages
	Mallocs  float64  `json:"allocations"`       // for a message
	Calls    *float64 `json:"system_calls"`      // for a message; nil: not counted
	Trips    *Trips   `json:"trips,omitempty"`   // how long they took, if each message went there and back
}

// Trips is how long they took, in microseconds.
type Trips struct {
	P50  float64  `json:"p50_us"`
	P99  float64  `json:"p99_us"`
	P999 *float64 `json:"p999_us"` // nil: there were too few
}

// taskLog is what is known of a task so far.
type taskLog struct {
	durable string
	shapes  map[Shape]*shapeLog
	err     error
}

// shapeLog is what is known of one shape of it: a number for each round.
type shapeLog struct {
	n                  int // messages in a round; 0: not known yet
	rate, cpu, mallocs []float64
	took               []time.Duration
	calls              *float64
}

func (l *taskLog) shape(s Shape) *shapeLog {
	if l.shapes == nil {
		l.shapes = map[Shape]*shapeLog{}
	}
	if l.shapes[s] == nil {
		l.shapes[s] = &shapeLog{}
	}
	return l.shapes[s]
}

func (l *shapeLog) note(all time.Duration, each []time.Duration, before, after usage) {
	n := float64(l.n)
	l.rate = append(l.rate, n/all.Seconds())
	l.cpu = append(l.cpu, (after.CPU-before.CPU)/n*1e6)
	l.mallocs = append(l.mallocs, float64(after.Mallocs-before.Mallocs)/n)
	l.took = append(l.took, each...)
}

func (l *taskLog) result(row Row) Result {
	r := Result{Row: row, Durable: l.durable, Figures: map[Shape]Figure{}}
	if l.err != nil {
		r.Error = oneLine(l.err.Error())
		return r
	}
	for shape, s := range l.shapes {
		f := Figure{Messages: s.n, Rate: median(s.rate), CPU: median(s.cpu), Mallocs: median(s.mallocs), Calls: s.calls}
		if len(s.took) > 0 {
			f.Trips = tripsOf(s.took)
		}
		r.Figures[shape] = f
	}
	return r
}

func median(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	return (values[n/2] + values[(n-1)/2]) / 2
}

func tripsOf(took []time.Duration) *Trips {
	slices.Sort(took)
	percentile := func(q float64) float64 {
		return float64(took[min(int(q*float64(len(took))), len(took)-1)]) / 1e3
	}
	t := &Trips{P50: percentile(0.5), P99: percentile(0.99)}
	if len(took) >= 1000 {
		t.P999 = new(percentile(0.999))
	}
	return t
}
