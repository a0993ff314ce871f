package robustness

import (
	"log/slog"
	"runtime"
	"runtime/metrics"
	"sync"
	"time"
)

var silent = slog.New(slog.DiscardHandler)

// watchHeap begins to look at the heap; peak ends it and says the most that
// was in use beyond what was when it began.
func watchHeap() (peak func() uint64) {
	runtime.GC()
	start := heap()
	most := start
	quit := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			most = max(most, heap())
			select {
			case <-tick.C:
			case <-quit:
				return
			}
		}
	})
	return func() uint64 {
		close(quit)
		ended.Wait()
		return most - start
	}
}

func heap() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
