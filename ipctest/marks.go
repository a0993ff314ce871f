package ipctest

import (
	"slices"
	"sync"

	"github.com/ipcmgr/ipcmgr"
)

// marks remembers of messages that were taken out only to be put back whether
// they were redelivered: Requeue marks them, and their user must not be told of
// a crash that was none.
type marks struct {
	mu sync.Mutex
	of map[string]bool // by message id
}

// putBack makes the messages the next ones, in their order.
func (k *marks) putBack(ms []*ipcmgr.Message) {
	k.mu.Lock()
	if k.of == nil {
		k.of = map[string]bool{}
	}
	for _, m := range ms {
		k.of[m.ID] = m.Redelivered
	}
	k.mu.Unlock()
	for _, m := range slices.Backward(ms) {
		_ = m.Requeue() // it fails only if the client has left
	}
}

// restore undoes the mark of a message that comes again.
func (k *marks) restore(m *ipcmgr.Message) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if was, ok := k.of[m.ID]; ok {
		m.Redelivered = was
		delete(k.of, m.ID)
	}
}
