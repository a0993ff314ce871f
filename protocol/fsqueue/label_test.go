package fsqueue

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNamesSortAsTheyWereSent(t *testing.T) {
	var names []string
	for _, at := range []place{{1, 1}, {1, 2}, {1, 10}, {1, 1 << 40}, {2, 1}, {1 << 31, 7}} {
		for _, single := range []bool{true, false} {
			count := 3
			if single {
				count = 1
			}
			name := labelName(senderOf("al"), at, count, 700, single)
			l, err := parseLabel(name)
			require.NoError(t, err, name)
			require.Equal(t, label{name: name, sender: senderOf("al"), place: at, count: count, bytes: 700, single: single}, l)
			if single {
				names = append(names, name)
			}
		}
	}
	require.True(t, slices.IsSorted(names))
}

func TestRubbishIsNoName(t *testing.T) {
	good := labelName(senderOf("al"), place{1, 1}, 1, 5, true)
	for _, name := range []string{
		"", "x", good[1:], good + "x", good[:len(good)-1], "A" + good[1:], "-" + good[1:],
		good[:labelWidth], good[:labelWidth] + ".tmp",
		labelName(senderOf("al"), place{1, 1}, 2, 5, true),
		labelName(senderOf("al"), place{1, 1}, 0, 5, false),
		labelName(senderOf("al"), place{1, 1<<48 - 1}, 1, 5, true), // the next would have no name
	} {
		_, err := parseLabel(name)
		require.ErrorIs(t, err, errName, name)
	}
}

func FuzzLabel(f *testing.F) {
	f.Add(labelName(senderOf("al"), place{1, 1}, 1, 5, true))
	f.Add(labelName(foreignSender, place{0, 9}, 12, 5, false))
	f.Fuzz(func(t *testing.T, name string) {
		l, err := parseLabel(name)
		if err == nil && labelName(l.sender, l.place, l.count, l.bytes, l.single) != name {
			t.Errorf("%q is read as %+v", name, l)
		}
	})
}

func FuzzSplit(f *testing.F) {
	f.Add(appendFrame(appendFrame(nil, []byte("one")), nil))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		frames, rest, why := split(nil, data, 100)
		if (len(rest) > 0) != (why != nil) {
			t.Errorf("%d bytes are left with the error %v", len(rest), why)
		}
		var again []byte
		for _, frame := range frames {
			again = binary.BigEndian.AppendUint32(again, uint32(len(frame)))
			again = append(again, frame...)
		}
		if !slices.Equal(append(again, rest...), data) {
			t.Error("the frames and the rest are not what was read")
		}
	})
}

// FuzzLedger: what is read of a ledger, and written again, says the same; none
// of it is about messages that cannot be.
func FuzzLedger(f *testing.F) {
	name := labelName(senderOf("al"), place{1, 1}, 3, 50, false)
	f.Add(appendLine(appendLine(appendLine(nil, "handed", name, 2), "back", name, 1), "acked", name, 0, 2))
	f.Add([]byte("handed " + name + " 99999999999999999999\nacked ../x 1\n\nback " + name + " -1\nacked " + name + " 1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		records := parseLedger(data)
		var again []byte
		for name, r := range records {
			l, err := parseLabel(name)
			if err != nil || r.handed > l.count {
				t.Errorf("%q: %+v, %v", name, r, err)
			}
			if r.handed > 0 || len(r.back)+len(r.acked) == 0 {
				again = appendLine(again, "handed", name, r.handed)
			}
			for i := range r.back {
				again = appendLine(again, "back", name, i)
			}
			for i := range r.acked {
				again = appendLine(again, "acked", name, i)
			}
		}
		require.Equal(t, records, parseLedger(again))
	})
}

// FuzzArrival: whatever Perl's message is, there is a number to sort it by.
func FuzzArrival(f *testing.F) {
	f.Add([]byte(`{"stamp":1795149013.47085,"stamp_ord":"3"}`))
	f.Add([]byte(`{"stamp":"nan","stamp_ord":"inf"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		a := arrival{stamp: 1}
		a.read(data)
		if a.stamp != a.stamp || a.ord != a.ord || a.compare(a) != 0 {
			t.Errorf("%+v", a)
		}
	})
}
