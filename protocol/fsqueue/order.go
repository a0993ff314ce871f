package fsqueue

import (
	"slices"
	"strings"
)

// order decides what of a listing may be handed out.
//
// A listing that is taken while senders create files can show a file and miss
// an earlier one of the same sender. What it shows is safe when it is the
// sender's next one; otherwise, when a second listing, begun after the first
// had ended, is merged in: each earlier file was there all that time.
type order struct {
	next map[string]place // of each sender that was heard of
	room []label          // for what pick returns
}

// pick returns the labels that may be handed out, each sender's in its order,
// until the next pick, and whether these are all. Listings are sorted by name;
// second is nil if there was no second one. Nothing is remembered before commit.
func (o *order) pick(first, second []label) (ready []label, all bool) {
	listed := first
	if second != nil {
		listed = byName(slices.Concat(first, second))
	}
	ready, safe := o.room[:0], 0
	var next place
	for i, l := range listed {
		if i == 0 || l.sender != listed[i-1].sender {
			ready, next = ready[:safe], o.next[l.sender]
		}
		follows := len(ready) == safe && l.place == next
		ready = append(ready, l)
		if follows || second != nil && lists(first, l.name) {
			safe = len(ready)
		}
		next = l.place.next()
	}
	o.room = ready[:safe]
	return o.room, safe == len(listed)
}

// byName sorts a listing, and leaves one of each name.
func byName(labels []label) []label {
	slices.SortFunc(labels, func(a, b label) int { return strings.Compare(a.name, b.name) })
	return slices.CompactFunc(labels, func(a, b label) bool { return a.name == b.name })
}

// lists says whether a listing has a name.
func lists(listing []label, name string) bool {
	_, ok := slices.BinarySearchFunc(listing, name, func(l label, name string) int { return strings.Compare(l.name, name) })
	return ok
}

// commit remembers what is handed out.
func (o *order) commit(ready []label) {
	for i := range ready {
		o.next[ready[i].sender] = ready[i].place.next()
	}
}
