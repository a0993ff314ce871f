package dirwatch

import (
	"errors"
	"io/fs"
	"sync"
	"time"
)

// rearm tries to watch a directory again that was removed or renamed: at once,
// for another may be in its place already, and then every 100 ms.
type rearm struct {
	quit  chan struct{}
	once  sync.Once
	ended chan struct{}
}

func startRearm(h *hub, path string, d *dir) *rearm {
	r := &rearm{quit: make(chan struct{}), ended: make(chan struct{})}
	go r.run(h, path, d)
	return r
}

func (r *rearm) run(h *hub, path string, d *dir) {
	defer close(r.ended)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for !h.arm(path, d) {
		select {
		case <-r.quit:
			return
		case <-tick.C:
		}
	}
}

func (r *rearm) stop() {
	r.once.Do(func() { close(r.quit) })
	<-r.ended
}

// arm watches path for d again and hints, for what happened before was not
// seen. It says whether there is nothing left to try.
func (h *hub) arm(path string, d *dir) bool {
	h.change.Lock()
	defer h.change.Unlock()
	h.table.Lock()
	wanted := h.dirs[path] == d
	d.again = false
	h.table.Unlock()
	if !wanted {
		return true
	}
	err := h.notify.Add(path)
	h.table.Lock()
	defer h.table.Unlock()
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	d.hint()
	if err != nil || d.again {
		return false
	}
	d.rearm = nil
	return true
}
