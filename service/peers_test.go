package service_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/ipcmgr/ipcmgr/service"
)

// A call does not look at the peers of the store, the one thing in it that costs
// more the more of them there are, however idle. BenchmarkCall has the time.
func TestCallsDoNotListPeers(t *testing.T) {
	for _, cfg := range kinds {
		t.Run(cfg.Protocol[0], func(t *testing.T) {
			p, err := protocol.Get(cfg.Protocol[0])
			require.NoError(t, err)
			counting := &listings{Protocol: p}
			cfg.Protocols = []protocol.Protocol{counting}
			st := spawn(t, cfg)
			for n := range 20 {
				connect(t, st, fmt.Sprint("idle", n))
			}
			serve(t, st, "svc", echo)
			c := caller(t, st, "me")
			call := func() {
				_, err := service.Call[int](testContext(t), c, "svc", "echo", 1)
				require.NoError(t, err)
			}
			const calls = 200
			for listed := int64(calls); listed >= calls/10; { // until whoever watches has seen the service
				require.NoError(t, testContext(t).Err())
				before := counting.n.Load()
				for range calls {
					call()
				}
				listed = counting.n.Load() - before
			}
		})
	}
}

// listings counts how often the peers of a store are listed.
type listings struct {
	protocol.Protocol
	n atomic.Int64
}

func (l *listings) Spawn(ctx context.Context, route string, s protocol.Settings) (protocol.Store, error) {
	st, err := l.Protocol.Spawn(ctx, route, s)
	return countedStore{st, &l.n}, err
}

type countedStore struct {
	protocol.Store
	n *atomic.Int64
}

func (s countedStore) Peers(ctx context.Context) ([]protocol.Peer, uint64, error) {
	s.n.Add(1)
	return s.Store.Peers(ctx)
}
