package threeworkers

import (
	"context"
	"testing"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/ipctest"
	_ "github.com/ipcmgr/ipcmgr/protocol/all"
	_ "github.com/ipcmgr/ipcmgr/serializer/all"
)

func TestMain(m *testing.M) { ipctest.Main(m) }

var (
	split  = ipctest.Register("split", Split)
	count  = ipctest.Register("count", Count)
	report = ipctest.Register("report", Report)

	// clumsy does everything twice, as if it had crashed each time before the
	// acknowledgement.
	clumsy = ipctest.Register("clumsy", func(ctx context.Context, c ipcmgr.Client) error {
		return Count(ctx, ipctest.Inject(c, ipctest.Faults{Duplicate: 1}))
	})
	// late begins when the test says so.
	late = ipctest.Register("late", func(ctx context.Context, c ipcmgr.Client) error {
		if err := ipctest.Reach(ctx, c, "all there"); err != nil {
			return err
		}
		return Split(ctx, c)
	})
)

func send(t *testing.T, c ipcmgr.Client, to string, content any) {
	t.Helper()
	if err := c.Send(ipctest.Context(t), to, content); err != nil {
		t.Fatal(err)
	}
}

func TestThreeWorkers(t *testing.T) {
	ipctest.Each(t, func(t *testing.T, st *ipcmgr.Store) {
		ipctest.Record(t, st)
		me := ipctest.Connect(t, st, "me")
		report.Start(t, st, "report")
		count.Start(t, st, "count")
		split.Start(t, st, "split")
		send(t, me, "split", Text{1, "to be or not to be"})
		send(t, me, "split", Text{2, ""})
		ipctest.ExpectExactly(t, me,
			ipctest.From("report", Total{N: 1, Words: 6}),
			ipctest.From("report", Total{N: 2, Words: 0}))
	})
}

// "count" is killed, and another one takes its place. Where the protocol keeps
// mailboxes, "split" sends to the dead one, and its successor finds that; elsewhere
// nobody can, and "split" begins when the successor is there.
func TestAWorkerIsKilled(t *testing.T) {
	ipctest.Each(t, func(t *testing.T, st *ipcmgr.Store) {
		me := ipctest.Connect(t, st, "me")
		report.Start(t, st, "report")
		count.Start(t, st, "count")
		late.Start(t, st, "split")
		for n := range 5 {
			send(t, me, "split", Text{n, "four words of text"})
		}
		ipctest.Kill(t, st, "count")
		if st.Features().Redelivers {
			ipctest.Barrier(t, me, "all there", "split")
			count.Start(t, st, "count")
		} else {
			count.Start(t, st, "count")
			ipctest.Barrier(t, me, "all there", "split")
		}
		for n := range 5 {
			ipctest.Expect(t, me, "report", Total{N: n, Words: 4})
		}
	})
}

// Everything is counted twice, and reported once.
func TestNothingIsReportedTwice(t *testing.T) {
	ipctest.Each(t, func(t *testing.T, st *ipcmgr.Store) {
		me := ipctest.Connect(t, st, "me")
		report.Start(t, st, "report")
		clumsy.Start(t, st, "count")
		split.Start(t, st, "split")
		for n := range 5 {
			send(t, me, "split", Text{n, "one two"})
		}
		for n := range 5 {
			ipctest.Expect(t, me, "report", Total{N: n, Words: 2})
		}
		ipctest.Stop(t, st, "split", "count", "report")
		ipctest.ExpectExactly(t, me)
	})
}
