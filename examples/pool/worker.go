package main

import (
	"context"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/proc"
)

const bossID = "boss"

// job and answer are what the messages carry.
type job struct {
	N     int `json:"n"`
	Below int `json:"below"`
}

type answer struct {
	Hello  bool `json:"hello,omitempty"` // a worker has come, or come back
	N      int  `json:"n"`
	Primes int  `json:"primes"`
}

var worker = proc.Register("worker", work)

// work answers jobs. A job is acknowledged when its answer was sent: if the
// worker is killed before, the job comes again.
func work(ctx context.Context, c ipcmgr.Client) error {
	if err := c.Send(ctx, bossID, answer{Hello: true}); err != nil {
		return err
	}
	return ipcmgr.Handle(ctx, c, func(ctx context.Context, _ *ipcmgr.Message, j job) error {
		return c.Send(ctx, bossID, answer{N: j.N, Primes: primesBelow(j.Below)})
	})
}

func primesBelow(limit int) int {
	composite := make([]bool, max(limit, 2))
	count := 0
	for n := 2; n < limit; n++ {
		if composite[n] {
			continue
		}
		count++
		for m := n * n; m < limit; m += n {
			composite[m] = true
		}
	}
	return count
}
