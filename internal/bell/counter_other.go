//go:build !unix || ipcmgr_fallback

package bell

import (
	"context"
	"os"
	"sync"
	"time"

	"github.com/ipcmgr/ipcmgr/internal/words"
)

// Polls says whether who waits for a bell looks again and again.
const Polls = true

// Without FIFOs, a bell is a word that counts the rings, and who waits looks at
// it in turn, less often the longer nothing comes.
const (
	soonest = time.Millisecond
	latest  = 20 * time.Millisecond
)

func makeBell(path string) error { return wrap(path, words.Create(path, 1)) }

func openCounter(path string) (*words.Words, error) {
	w, err := words.Open(path)
	if err != nil {
		return nil, wrap(path, err)
	}
	if w.Len() != 1 {
		w.Close()
		return nil, notBell(path)
	}
	return w, nil
}

// Bell is the waiting side.
type Bell struct {
	closed chan struct{}

	mu    sync.Mutex
	rings *words.Words // nil after Close
	heard uint64
}

// Open opens the bell at path for waiting. The error matches fs.ErrNotExist if
// there is none, fs.ErrInvalid if there is something else.
func Open(path string) (*Bell, error) {
	w, err := openCounter(path)
	if err != nil {
		return nil, err
	}
	return &Bell{closed: make(chan struct{}), rings: w, heard: w.Load(0)}, nil
}

// Wait blocks until the bell is rung, unless it was since the last Wait. It
// returns context.Cause(ctx) when ctx ends, and an error that matches
// os.ErrClosed after Close. One goroutine waits at a time.
func (b *Bell) Wait(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	pause := soonest
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		if rung, err := b.look(); rung || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-b.closed:
			return os.ErrClosed
		case <-timer.C:
		}
		pause = min(2*pause, latest)
		timer.Reset(pause)
	}
}

func (b *Bell) look() (rung bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rings == nil {
		return false, os.ErrClosed
	}
	n := b.rings.Load(0)
	rung = n != b.heard
	b.heard = n
	return rung, nil
}

// Close closes the bell and ends a Wait. The file stays.
func (b *Bell) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rings == nil {
		return os.ErrClosed
	}
	close(b.closed)
	rings := b.rings
	b.rings = nil
	return rings.Close()
}

// Rope is the ringing side. Its methods may be called concurrently.
type Rope struct {
	mu    sync.RWMutex // keeps Close away while a Ring uses the word
	rings *words.Words // nil after Close
}

// OpenRope opens the bell at path for ringing. The errors are those of Open.
func OpenRope(path string) (*Rope, error) {
	w, err := openCounter(path)
	if err != nil {
		return nil, err
	}
	return &Rope{rings: w}, nil
}

// Ring rings and does not block. That nobody waits is no error. After Close it
// returns os.ErrClosed.
func (r *Rope) Ring() error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.rings == nil {
		return os.ErrClosed
	}
	r.rings.Add(0, 1)
	return nil
}

// Close lets go of the rope.
func (r *Rope) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rings == nil {
		return os.ErrClosed
	}
	rings := r.rings
	r.rings = nil
	return rings.Close()
}
