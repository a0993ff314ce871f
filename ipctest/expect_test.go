package ipctest_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/ipctest"
)

// trio gives a store over mem with three clients.
func trio(t *testing.T) (me, a, b ipcmgr.Client) {
	st := ipctest.Store(t, ipcmgr.Config{Protocol: ipcmgr.Names{"mem"}})
	return ipctest.Connect(t, st, "test"), ipctest.Connect(t, st, "a"), ipctest.Connect(t, st, "b")
}

func send(t *testing.T, from ipcmgr.Client, to string, contents ...any) {
	t.Helper()
	for _, v := range contents {
		require.NoError(t, from.Send(ipctest.Context(t), to, v))
	}
}

// drain empties a mailbox, so that the end of the test does not complain.
func drain(t *testing.T, c ipcmgr.Client) {
	for {
		ms, err := c.Poll(ipctest.Context(t), 100)
		require.NoError(t, err)
		if len(ms) == 0 {
			return
		}
	}
}

type order struct {
	ID    int
	Items []string
	Price float64
}

func TestExpectShowsTheDifference(t *testing.T) {
	me, a, b := trio(t)
	send(t, b, "test", "not looked at")
	send(t, a, "test", order{7, []string{"tea", "cake"}, 2.5}, "the next one")
	log := failing(t, func(t testing.TB) { ipctest.Expect(t, me, "a", order{7, []string{"tea", "pie"}, 2.5}) })
	require.Equal(t, `ipctest: "test" expected from "a" (-), and got (+):
	  {
	    "ID": 7,
	    "Items": [
	      "tea",
	-     "pie"
	+     "cake"
	    ],
	    "Price": 2.5
	  }
also in the mailbox:
	from "b": "not looked at"
	from "a": "the next one"
peers: "a" active, "b" active, "test" active
`, log)
	// Everything is still there, in order and unmarked.
	for _, want := range []string{"b", "a", "a"} {
		m, err := me.Receive(ipctest.Context(t))
		require.NoError(t, err)
		require.Equal(t, want, m.From)
		require.False(t, m.Redelivered)
	}
	drain(t, me)
}

func TestExpectTimesOut(t *testing.T) {
	me, a, _ := trio(t)
	send(t, a, "test", strings.Repeat("long ", 100))
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(context.DeadlineExceeded)
	log := failing(t, func(t testing.TB) { ipctest.Expect(withContext{t, ctx}, me, "b", 42) })
	require.Contains(t, log, `"test" expected from "b":`+"\n\t42\nbut nothing came from it: ")
	require.Contains(t, log, "deadline exceeded")
	require.Contains(t, log, "(502 bytes)\npeers:")
	drain(t, me)
}

// A test that waits in vain fails before the timeout of the test binary, so
// that the reason is told and the clean-up still fits.
func TestFailsBeforeTheTimeout(t *testing.T) {
	log := failing(t, func(t testing.TB) {
		st := ipctest.Store(t, ipcmgr.Config{Protocol: ipcmgr.Names{"fsqueue"}})
		echo.Start(t, st, "a")
		me := ipctest.Connect(t, st, "test")
		hurried := withDeadline{t, time.Now().Add(time.Second)}
		end, ok := ipctest.Context(hurried).Deadline()
		require.True(t, ok)
		require.Less(t, end, hurried.end)
		ipctest.Expect(hurried, me, "a", "never")
	})
	require.Contains(t, log, `"test" expected from "a"`)
	require.Contains(t, log, "the -timeout of the test binary is near")
	require.NotContains(t, log, "and also", "the clean-up")
}

// withDeadline is a test in a binary that has a -timeout.
type withDeadline struct {
	testing.TB
	end time.Time
}

func (t withDeadline) Deadline() (time.Time, bool) { return t.end, true }

// withContext is a test with a context of its own.
type withContext struct {
	testing.TB
	ctx context.Context
}

func (t withContext) Context() context.Context { return t.ctx }

// Expect compares what travels, not the Go types.
func TestExpectCompares(t *testing.T) {
	for _, ser := range []string{"json", "msgpack"} {
		t.Run(ser, func(t *testing.T) {
			st := ipctest.Store(t, ipcmgr.Config{Protocol: ipcmgr.Names{"mem"}, Serializer: ser})
			me := ipctest.Connect(t, st, "me")
			now := time.Now()
			for _, c := range []struct{ sent, want any }{
				{order{1, []string{}, 1}, map[string]any{"ID": 1, "Items": []string{}, "Price": 1}},
				{now, now.UTC().In(now.Location())},
				{[]byte{1, 2}, []byte{1, 2}},
				{uint64(math.MaxUint64), uint64(math.MaxUint64)},
				{[]int{1}, [1]int8{1}},
				{"whatever", ipctest.Anything{}},
			} {
				send(t, me, "me", c.sent)
				ipctest.Expect(t, me, "me", c.want)
			}
			for _, c := range []struct{ sent, want any }{
				{map[string]int{"ID": 1, "more": 2}, struct{ ID int }{1}},
				{int64(1<<53 + 1), int64(1 << 53)},
				{"1", 1},
				{[]int{1}, []int{}},
			} {
				send(t, me, "me", c.sent)
				log := failing(t, func(t testing.TB) { ipctest.Expect(t, me, "me", c.want) })
				require.Contains(t, log, "expected from")
				require.Regexp(t, `(?m)^\t-`, log)
				require.Regexp(t, `(?m)^\t\+`, log)
				drain(t, me)
			}
			log := failing(t, func(t testing.TB) { ipctest.Expect(t, me, "me", nil) })
			require.Contains(t, log, "what is expected cannot be sent")
		})
	}
}

func TestExpectExactly(t *testing.T) {
	me, a, b := trio(t)
	send(t, a, "test", 1, 2)
	send(t, b, "test", 1)
	ipctest.ExpectExactly(t, me, ipctest.From("b", 1), ipctest.From("a", 1), ipctest.From("a", 2))
	ipctest.ExpectExactly(t, me)

	send(t, a, "test", 2, 1)
	log := failing(t, func(t testing.TB) { ipctest.ExpectExactly(t, me, ipctest.From("a", 1), ipctest.From("a", 2)) })
	require.Contains(t, log, "expected from \"a\" (-), and got (+):\n\t- 1\n\t+ 2\nit still expects:\n\tfrom \"a\": 1\n\tfrom \"a\": 2\nalso in the mailbox:\n\tfrom \"a\": 1\n")
	ipctest.ExpectAnyOrder(t, me, ipctest.From("a", 1), ipctest.From("a", 2))

	send(t, a, "test", "one too many")
	log = failing(t, func(t testing.TB) { ipctest.ExpectExactly(t, me) })
	require.Contains(t, log, "got all 0 that it expected, and more\nalso in the mailbox:\n\tfrom \"a\": \"one too many\"")
	log = failing(t, func(t testing.TB) { ipctest.ExpectAnyOrder(t, me, ipctest.From("b", "x")) })
	require.Contains(t, log, "did not expect:\n\tfrom \"a\": \"one too many\"\nbut still expects:\n\tfrom \"b\": \"x\"\nnothing else is in the mailbox")
	drain(t, me)
}

// Long lists and large contents do not drown the rest.
func TestExpectIsBrief(t *testing.T) {
	me, a, _ := trio(t)
	big := make([]int, 5000)
	for n := range 30 {
		send(t, a, "test", n)
	}
	log := failing(t, func(t testing.TB) { ipctest.Expect(t, me, "a", big) })
	require.Less(t, len(log), 5000)
	require.Contains(t, log, "and 9 more")
	drain(t, me)
	changed := append([]int{}, big[:500]...)
	changed[250] = 1
	send(t, a, "test", changed)
	log = failing(t, func(t testing.TB) { ipctest.Expect(t, me, "a", big[:500]) })
	require.Contains(t, log, "\t  …\n\t    0,\n\t    0,\n\t    0,\n\t-   0,\n\t+   1,\n\t    0,\n\t    0,\n\t    0,\n\t  …\n")
	drain(t, me)
}

// What Expect passes over keeps its mark if it was redelivered for real.
func TestExpectKeepsMarks(t *testing.T) {
	me, a, b := trio(t)
	send(t, a, "test", "put back by hand", "never put back")
	m, err := me.Next(ipctest.Context(t))
	require.NoError(t, err)
	require.NoError(t, m.Requeue())
	send(t, b, "test", "wanted")
	ipctest.Expect(t, me, "b", "wanted")
	for _, want := range []bool{true, false} {
		m, err := me.Receive(ipctest.Context(t))
		require.NoError(t, err)
		require.Equal(t, want, m.Redelivered)
	}
	drain(t, me)
}
