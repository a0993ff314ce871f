package fsqueue

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func listing(labels ...label) []label { return byName(labels) }

func labelOf(sender string, epoch, number uint64) label {
	l, err := parseLabel(labelName(senderOf(sender), place{epoch, number}, 1, 1, true))
	if err != nil {
		panic(err)
	}
	return l
}

func TestGapNeedsASecondListing(t *testing.T) {
	o := order{next: map[string]place{senderOf("al"): {1, 4}}}
	four, five, six := labelOf("al", 1, 4), labelOf("al", 1, 5), labelOf("al", 1, 6)
	ready, all := o.pick(listing(five), nil)
	require.Empty(t, ready)
	require.False(t, all)
	// The second shows what the first has missed.
	ready, all = o.pick(listing(five), listing(four, five, six))
	require.Equal(t, []label{four, five, six}, ready)
	require.True(t, all)
	// A number that is missing for good does not stop the sender.
	ready, _ = o.pick(listing(six), listing(six))
	require.Equal(t, []label{six}, ready)
}

func TestContiguousNeedsOneListing(t *testing.T) {
	o := order{next: map[string]place{senderOf("al"): {1, 4}}}
	ready, all := o.pick(listing(labelOf("al", 1, 5), labelOf("al", 1, 4)), nil)
	require.Len(t, ready, 2)
	require.True(t, all)
	// A sender's new epoch may hide the end of the old one.
	_, all = o.pick(listing(labelOf("al", 2, 1)), nil)
	require.False(t, all)
	_, all = o.pick(listing(labelOf("bo", 1, 1)), nil)
	require.False(t, all)
}

// A directory that hides, from each listing, any of the files that were made
// while it was taken, is read in order, and to its end.
func TestOrderOverAForgetfulDirectory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := order{next: map[string]place{}}
		there := map[string]label{}
		sent := map[string]place{}
		create := func() (fresh []label) {
			for range rapid.IntRange(0, 4).Draw(t, "created") {
				who := rapid.SampledFrom([]string{"al", "bo"}).Draw(t, "who")
				at := sent[who]
				if at.epoch == 0 || rapid.IntRange(0, 5).Draw(t, "reconnects") == 0 {
					at = place{at.epoch + 1, 0}
				}
				sent[who] = at.next()
				fresh = append(fresh, labelOf(who, at.epoch, at.number+1))
			}
			return fresh
		}
		list := func() []label {
			seen := slices.Collect(maps.Values(there))
			for _, l := range create() {
				there[l.name] = l
				if rapid.Bool().Draw(t, "seen") {
					seen = append(seen, l)
				}
			}
			return byName(append([]label{}, seen...))
		}
		take := func(ready []label) {
			o.commit(ready)
			for _, l := range ready {
				for other := range there {
					if m := there[other]; m.sender == l.sender && other < l.name {
						t.Fatal(fmt.Sprintf("%s is read before %s", l.name, other))
					}
				}
				delete(there, l.name)
			}
		}
		for range 10 {
			first := list()
			ready, all := o.pick(first, nil)
			if !all {
				second := list()
				ready, _ = o.pick(first, second)
				for _, l := range first {
					if !lists(ready, l.name) {
						t.Fatal(l.name + " was listed twice and is not read")
					}
				}
			}
			take(ready)
		}
	})
}
