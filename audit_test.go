package ipcmgr_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
)

// The audit of a store in which somebody crashed is honest about it.
func TestAuditAfterACrash(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		ctx := testContext(t)
		a := connect(t, s, "a")
		v := newVictim(t, s, "v")
		send(t, a, "v", "one", "two")
		v.receive(2)
		v.send("a", "done")
		receive(t, a, 1)
		empty(t, a)
		v.crash()
		audit, err := s.Audit(ctx)
		require.NoError(t, err)
		verdicts := map[string]ipcmgr.Verdict{}
		for _, p := range audit.Pairs {
			verdicts[p.From+p.To] = p.Verdict
		}
		require.Equal(t, ipcmgr.Unknown, verdicts["va"])
		require.Contains(t, []ipcmgr.Verdict{ipcmgr.Unknown, ipcmgr.Unread}, verdicts["av"])
		require.ErrorContains(t, audit.Err(), `"v" crashed`)
	})
}

func TestAuditCountsTheUnread(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		if !s.Features().Suspends {
			return // nothing is kept for who is away: what is unread is dropped, see TestDisconnect
		}
		ctx := testContext(t)
		a, b := connect(t, s, "a"), connect(t, s, "b")
		send(t, a, "b", "one", "two", "three")
		receive(t, b, 1)
		require.NoError(t, b.Suspend(ctx, time.Time{}))
		audit, err := s.Audit(ctx)
		require.NoError(t, err)
		require.NoError(t, audit.Err())
		require.Equal(t, []ipcmgr.Pair{{From: "a", To: "b", Sent: 3, Read: 1, Verdict: ipcmgr.Unread}}, audit.Pairs)
		require.Equal(t, `"a" to "b": unread: 3 sent, 1 read`, audit.Pairs[0].String())
	})
}

// Anonymous clients are one in statistics and audit, also while they are there.
func TestAuditWhileAnonymousClientsAreThere(t *testing.T) {
	each(t, func(t *testing.T, s *ipcmgr.Store) {
		ctx := testContext(t)
		a := connect(t, s, "a")
		for range 2 {
			c, err := s.ConnectAnonymous(ctx)
			require.NoError(t, err)
			send(t, c, "a", "hi")
			send(t, a, c.ID(), "ho")
			require.Equal(t, []string{"ho"}, receive(t, c, 1))
			empty(t, c)
		}
		receive(t, a, 2)
		empty(t, a)
		audit, err := s.Audit(ctx)
		require.NoError(t, err)
		require.NoError(t, audit.Err())
		require.Equal(t, []ipcmgr.Pair{
			{From: "_cli", To: "a", Sent: 2, Read: 2, Verdict: ipcmgr.Equal},
			{From: "a", To: "_cli", Sent: 2, Read: 2, Verdict: ipcmgr.Equal},
		}, audit.Pairs)
	})
}
