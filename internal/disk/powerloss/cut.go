package powerloss

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// Fate decides what a cut leaves of what was not on disk.
type Fate interface {
	// Keeps says whether one change of names is kept.
	Keeps() bool
	// Tears gives how many of n bytes are kept, and whether a sector of these is
	// lost and reads as zeros.
	Tears(n int) (kept int, zero func() bool)
}

// The extremes.
var (
	All  Fate = fixed(true)  // the cut comes when everything has been written back
	None Fate = fixed(false) // nothing is kept but what had to be
)

type fixed bool

func (f fixed) Keeps() bool { return bool(f) }

func (f fixed) Tears(n int) (int, func() bool) {
	if !f {
		n = 0
	}
	return n, func() bool { return false }
}

// Chance decides by lot.
func Chance(r *rand.Rand) Fate { return chance{r} }

type chance struct{ *rand.Rand }

func (c chance) Keeps() bool { return c.IntN(2) == 0 }

func (c chance) Tears(n int) (int, func() bool) {
	return c.IntN(n + 1), func() bool { return c.IntN(3) == 0 }
}

// sector is what a disk writes as a whole.
const sector = 512

// outage is how long ago the cut was. Nobody who lives can have written the
// files, though the process that did is the test's own.
const outage = 24 * time.Hour

// Rebuild puts what a cut after the first at calls leaves into the directory to,
// which is made.
func (r *Recorder) Rebuild(at int, fate Fate, to string) error {
	r.mu.Lock()
	ops := r.ops[:at]
	r.mu.Unlock()
	names := map[*node]map[string]*node{}
	for i, keep := range selection(ops, fate) {
		if !keep {
			continue
		}
		for e, n := range ops[i].sets {
			if names[e.dir] == nil {
				names[e.dir] = map[string]*node{}
			}
			names[e.dir][e.name] = n
		}
	}
	return write(r.root, names, contents(ops, fate), to)
}

// selection says which changes of names are kept: those that a Sync of one of
// their directories came after, those that fate keeps, and those that one of
// these rests on.
func selection(ops []op, fate Fate) []bool {
	keep := make([]bool, len(ops))
	rests := make([][]int, len(ops)) // the changes that each rests on
	last := map[entry]int{}
	of := map[*node][]int{} // the changes in each directory
	for i, o := range ops {
		for e := range o.sets {
			if before, ok := last[e]; ok {
				rests[i] = append(rests[i], before)
			}
			last[e] = i
			of[e.dir] = append(of[e.dir], i)
		}
		if o.empty != nil {
			rests[i] = append(rests[i], of[o.empty]...)
		}
		if o.synced != nil {
			for _, change := range of[o.synced] {
				keep[change] = true
			}
		}
	}
	// Those that have to be kept carry what they rest on; what fate would keep
	// is dropped with what it rests on. What is earlier is decided first.
	for i := len(ops) - 1; i >= 0; i-- {
		for _, before := range rests[i] {
			keep[before] = keep[before] || keep[i]
		}
	}
	for i := range ops {
		if ops[i].sets == nil || keep[i] || !fate.Keeps() {
			continue
		}
		keep[i] = true
		for _, before := range rests[i] {
			keep[i] = keep[i] && keep[before]
		}
	}
	return keep
}

// image is what is left of a file.
type image struct {
	data []byte
	when time.Time // of the last write
}

func contents(ops []op, fate Fate) map[*node]image {
	type written struct {
		data   []byte
		synced int
		when   time.Time
	}
	all := map[*node]*written{}
	var order []*node
	for _, o := range ops {
		if o.wrote != nil {
			w := all[o.wrote]
			if w == nil {
				w = &written{}
				all[o.wrote] = w
				order = append(order, o.wrote)
			}
			w.data, w.when = append(w.data, o.data...), o.when
		}
		if w := all[o.synced]; o.synced != nil && w != nil {
			w.synced = len(w.data)
		}
	}
	images := map[*node]image{}
	for _, n := range order {
		w := all[n]
		images[n] = image{torn(w.data, w.synced, fate), w.when}
	}
	return images
}

// torn keeps the first synced bytes and of the others what fate leaves. A file
// may be as long as it was and have zeros where a sector was lost.
func torn(data []byte, synced int, fate Fate) []byte {
	kept, zero := fate.Tears(len(data) - synced)
	left := append([]byte(nil), data[:synced+kept]...)
	for at := synced; at < len(left); {
		end := min((at/sector+1)*sector, len(left))
		if zero() {
			clear(left[at:end])
		}
		at = end
	}
	return left
}

func write(d *node, names map[*node]map[string]*node, images map[*node]image, to string) error {
	err := os.Mkdir(to, 0o700)
	for name, n := range names[d] {
		path := filepath.Join(to, name)
		switch {
		case n == nil:
		case n.dir:
			err = errors.Join(err, write(n, names, images, path))
		default:
			i := images[n]
			err = errors.Join(err, os.WriteFile(path, i.data, 0o600))
			if !i.when.IsZero() {
				when := i.when.Add(-outage)
				err = errors.Join(err, os.Chtimes(path, when, when))
			}
		}
	}
	return err
}
