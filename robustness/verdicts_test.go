package robustness

import (
	"iter"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The checker of the crash tests finds what it is there to find. A play is the
// journal of a, who sends to b, and that of b, whose first life was killed at
// time 100 and whose second began at 110.
func TestChecker(t *testing.T) {
	const sends = `a begin 1 b 0 1 10/a end 1 b 1 accepted 11/a begin 1 b 1 2 20/a end 1 b 2 accepted 21/`
	for _, c := range []struct {
		name   string
		keeps  bool
		play   string
		expect string // a part of the complaint; "" = none
	}{
		{"all is well", true, sends + `b got 1 a 1 0 false/b got 1 a 1 1 false/b got 1 a 1 2 false`, ""},
		{"again with the mark", true, sends + `b got 1 a 1 0 false/b got 1 a 1 1 false/b got 2 a 1 1 true/b got 2 a 1 2 true`, ""},
		{"again without", true, sends + `b got 1 a 1 0 false/b got 2 a 1 0 false`, "without the mark"},
		{"again in one life", true, sends + `b got 2 a 1 0 false/b got 2 a 1 0 true`, "arrived after"},
		{"again after the record", true, sends + `b got 1 a 1 0 false/b acked 1 a 1 0/b got 2 a 1 0 true`, "acknowledged on record"},
		{"marked for nothing", true, sends + `b got 1 a 1 0 true`, "nobody can have had it"},
		{"marked and sent after the crash", true, `a begin 1 b 0 1 105/a end 1 b 1 accepted 106/b got 2 a 1 0 true`, "nobody can have had it"},
		{"lost", true, sends + `b got 1 a 1 0 false/b got 1 a 1 1 false`, "is lost"},
		{"overtaken", true, sends + `b got 1 a 1 1 false/b got 1 a 1 0 false`, "before it did not"},
		{"a hole in a batch", true, `a begin 1 b 0 3 10/b got 1 a 1 0 false/b got 1 a 1 2 false`, "before it did not"},
		{"under way at a kill", true, sends + `a begin 1 b 3 2 30/b got 1 a 1 0 false/b got 1 a 1 1 false/b got 1 a 1 2 false/b got 1 a 1 3 false`, ""},
		{"invented", true, sends + `b got 1 a 1 3 false`, "was not sent"},
		{"of a life that never sent", true, sends + `b got 1 a 2 0 false`, "was not sent"},
		{"refused", true, `a begin 1 b 0 2 10/a end 1 b 1 accepted 11/b got 1 a 1 0 false/b got 1 a 1 1 false`, "was refused"},
		{"refused after it arrived", true, `a begin 1 b 0 1 10/b got 1 a 1 0 false/a end 1 b 0 accepted 11`, "was refused"},
		{"unsure", true, `a begin 1 b 0 1 10/a end 1 b 0 unsure 11`, ""},
		{"unread in who was killed", false, sends + `b got 1 a 1 0 false`, ""},
		{"lost by who lives", false, sends + `a begin 1 b 3 1 120/a end 1 b 1 accepted 121/b got 1 a 1 0 false`, "not unread in a killed"},
		{"lost before what was read", false, sends + `b got 1 a 1 0 false/b got 1 a 1 2 false`, "not unread in a killed"},
		{"kept by who keeps nothing", false, sends + `b got 1 a 1 0 false/b got 2 a 1 0 true`, "nothing is kept"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ch := newChecker(c.keeps)
			ch.starts("a", 1)
			ch.starts("b", 1)
			ch.dies("b", 100, true)
			ch.starts("b", 110)
			for line := range strings.SplitSeq(c.play, "/") {
				if fields := strings.Fields(line); len(fields) > 1 {
					ch.sentBy(fields[0], fields[1:])
					ch.arrivedAt(fields[0], fields[1:])
				}
			}
			ch.finish()
			if c.expect == "" {
				require.Empty(t, ch.complaints)
				return
			}
			require.Contains(t, strings.Join(ch.complaints, "\n"), c.expect)
		})
	}
}

// A seed makes the same faults each time.
func TestScheduleIsReplayed(t *testing.T) {
	again, stop := iter.Pull(schedule(rand.New(rand.NewPCG(7, 0)), 5, 2))
	defer stop()
	n := 0
	for f := range schedule(rand.New(rand.NewPCG(7, 0)), 5, 2) {
		require.True(t, f.kill || f.stop > 0)
		require.False(t, f.kill && f.victim == 2, "who is spared is not killed")
		same, _ := again()
		require.Equal(t, same, f)
		if n++; n == 200 {
			break
		}
	}
}
