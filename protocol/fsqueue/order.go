package fsqueue

import (
	"cmp"
	"slices"
)

// order decides what of a listing may be handed out.
//
// A listing that is taken while senders create files can show a file and miss
// an earlier one of the same sender. What it shows is safe when it is the
// sender's next one; otherwise, when a second listing, begun after the first
// had ended, is merged in: each earlier file was there all that time.
type order struct {
	next map[string]place // of each sender that was heard of
}

// pick returns the labels that may be handed out, each sender's in its order,
// and whether these are all. second is nil if there was no second listing.
// Nothing is remembered before commit.
func (o *order) pick(first, second map[string]label) (ready []label, all bool) {
	merged := make([]label, 0, len(first)+len(second))
	for _, l := range first {
		merged = append(merged, l)
	}
	for name, l := range second {
		if _, twice := first[name]; !twice {
			merged = append(merged, l)
		}
	}
	slices.SortFunc(merged, func(a, b label) int { return cmp.Compare(a.name, b.name) })
	all = true
	for len(merged) > 0 {
		end := 1
		for end < len(merged) && merged[end].sender == merged[0].sender {
			end++
		}
		safe := o.safe(merged[:end], first, second != nil)
		ready = append(ready, merged[:safe]...)
		all = all && safe == end
		merged = merged[end:]
	}
	return ready, all
}

// safe says how many of one sender's labels may be handed out.
func (o *order) safe(of []label, first map[string]label, twice bool) int {
	sure := 0 // how many a second listing has made safe
	if twice {
		for i := range of {
			if _, ok := first[of[i].name]; ok {
				sure = i + 1
			}
		}
	}
	next, known := o.next[of[0].sender]
	for i := range of {
		if i >= sure && (!known || of[i].place != next) {
			return i
		}
		next, known = of[i].place.next(), true
	}
	return len(of)
}

// commit remembers what is handed out.
func (o *order) commit(ready []label) {
	for i := range ready {
		o.next[ready[i].sender] = ready[i].place.next()
	}
}
