package roster

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/ipcmgr/ipcmgr/internal/process"
	"github.com/ipcmgr/ipcmgr/protocol"
)

func crowded(b *testing.B, clients int) *Roster {
	r, err := plainKind.Spawn(context.Background(), b.TempDir()+"/route", settings)
	check(err)
	b.Cleanup(func() {
		check(r.Unspawn(context.Background()))
		check(r.Close())
	})
	_, err = r.Enter(context.Background(), options("me", protocol.New), noSetup)
	check(err)
	me, _, err := r.records.read("me")
	check(err)
	self := process.Self()
	for i := range clients {
		check(r.records.write(&record{
			ID: fmt.Sprint("peer", i), Epoch: 1, State: state(protocol.Active), Since: time.Now(),
			PID: self.PID, Start: self.Start, Token: me.Token,
		}))
	}
	return r
}

func BenchmarkPeers1000(b *testing.B) {
	r := crowded(b, 1000)
	for b.Loop() {
		_, _, err := r.Peers(context.Background())
		check(err)
	}
}

func BenchmarkLook(b *testing.B) {
	r := crowded(b, 1)
	for b.Loop() {
		_, err := r.Look("peer0")
		check(err)
	}
}

func BenchmarkEnterLeave(b *testing.B) {
	r := crowded(b, 1)
	for b.Loop() {
		e, err := r.Enter(context.Background(), options("a", protocol.Resume), noSetup)
		check(err)
		check(e.Leave(context.Background(), protocol.Departure{}, nil))
	}
}
