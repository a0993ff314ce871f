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
	f.Add(appendFrame(appendFrame(nil, []byte("one")), nil), 2)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 1}, 1<<30)
	f.Fuzz(func(t *testing.T, data []byte, count int) {
		frames, rest, why := split(data, max(count, 0), 100)
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
