package robustness

import (
	"iter"
	"math/rand/v2"
	"time"
)

// fault is one thing that is done to one player of a crash test.
type fault struct {
	victim int
	wait   time.Duration // before it
	stop   time.Duration // for how long the victim is stopped first; 0 = not
	kill   bool
	absent bool // what is killed returns only after the next fault
}

// schedule makes faults without end. The same seed makes the same. spared is
// stopped, and never killed; -1 spares nobody.
func schedule(r *rand.Rand, players, spared int) iter.Seq[fault] {
	return func(yield func(fault) bool) {
		for {
			if f := draw(r, players, spared); (f.kill || f.stop > 0) && !yield(f) {
				return
			}
		}
	}
}

func draw(r *rand.Rand, players, spared int) fault {
	f := fault{victim: r.IntN(players), wait: time.Duration(r.ExpFloat64() * float64(40*time.Millisecond))}
	if r.IntN(3) == 0 { // at once: what has just begun is caught while it connects
		f.wait = time.Duration(r.IntN(int(4 * time.Millisecond)))
	}
	if r.IntN(4) == 0 {
		f.stop = time.Duration(1 + r.IntN(int(30*time.Millisecond)))
	}
	f.kill = f.victim != spared && (f.stop == 0 || r.IntN(2) == 0)
	f.absent = r.IntN(5) == 0
	return f
}
