package roster

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ipcmgr/ipcmgr/internal/filelock"
	"github.com/ipcmgr/ipcmgr/internal/process"
)

// holder is the process that holds an id, as its record has it. A pid is never
// trusted alone: of ours, the lock on the token's file tells; a foreign one
// must have started before its record was written.
type holder struct {
	token   string     // "" for a foreign one
	id      process.ID // Start 0 for a foreign one
	written int64      // of a foreign one's record: UnixNano
}

// lives is what this handle knows of the processes behind the records. Once it
// follows them, each has one watch, however many clients it holds, and to ask
// whether it lives costs one system call: the watch tells a moment too late for
// who has just waited for a child.
type lives struct {
	procs string
	ended func() // told when a process that is watched has ended

	mu        sync.Mutex
	following bool
	known     map[holder]*life
}

// life is that of one process: watched, or ended.
type life struct {
	exit  *process.Exit // nil: it had ended when first looked at
	quit  chan struct{}
	ended time.Time // zero while it lives
}

// alive says whether the process is, and if not, when that was first seen.
func (l *lives) alive(h holder) (bool, time.Time, error) {
	if h.token != "" && ours(h.token) {
		return true, time.Time{}, nil
	}
	l.mu.Lock()
	k, following := l.known[h], l.following
	if k != nil {
		defer l.mu.Unlock()
		if k.ended.IsZero() && k.exit.Ended() {
			k.ended = time.Now()
		}
		return k.ended.IsZero(), k.ended, nil
	}
	l.mu.Unlock()
	up, err := l.look(h)
	if err != nil || up && !following {
		return up, time.Time{}, err
	}
	if up {
		return l.follow(h)
	}
	return false, l.remember(h, &life{ended: time.Now()}).ended, nil
}

// look asks the system.
func (l *lives) look(h holder) (bool, error) {
	if h.token == "" {
		return process.StartedBefore(h.id.PID, time.Unix(0, h.written)), nil
	}
	held, err := filelock.Held(filepath.Join(l.procs, h.token))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return false, nil
	}
	return held, err
}

// follow watches a process that was alive a moment ago.
func (l *lives) follow(h holder) (bool, time.Time, error) {
	id := h.id
	if h.token == "" {
		id.Start, _ = process.Start(id.PID)
	}
	exit, err := process.Watch(id)
	if errors.Is(err, os.ErrProcessDone) {
		// It may live where its pid means nothing to us, in a container: then
		// only its lock tells, each time that somebody looks.
		up, err := l.look(h)
		if up || err != nil {
			return up, time.Time{}, err
		}
		return false, l.remember(h, &life{ended: time.Now()}).ended, nil
	}
	if err != nil {
		return false, time.Time{}, err
	}
	mine := &life{exit: exit, quit: make(chan struct{})}
	if l.remember(h, mine) == mine {
		go l.await(mine)
	} else {
		exit.Close()
	}
	return true, time.Time{}, nil
}

// remember gives what is known of h: k, unless somebody was faster.
func (l *lives) remember(h holder, k *life) *life {
	l.mu.Lock()
	defer l.mu.Unlock()
	if other := l.known[h]; other != nil {
		return other
	}
	if !l.following && k.exit != nil { // closed meanwhile
		return &life{}
	}
	l.known[h] = k
	return k
}

func (l *lives) await(k *life) {
	defer k.exit.Close()
	select {
	case <-k.exit.Done():
		l.mu.Lock()
		if k.ended.IsZero() {
			k.ended = time.Now()
		}
		l.mu.Unlock()
		l.ended()
	case <-k.quit:
	}
}

// start begins to follow the processes that alive is asked about.
func (l *lives) start() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.following = true
}

// keep forgets the processes that no record names any more.
func (l *lives) keep(named map[holder]bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for h, k := range l.known {
		if !named[h] {
			k.drop()
			delete(l.known, h)
		}
	}
}

func (l *lives) close() {
	l.mu.Lock()
	l.following = false
	l.mu.Unlock()
	l.keep(nil)
}

func (k *life) drop() {
	if k.quit != nil {
		close(k.quit)
	}
}
