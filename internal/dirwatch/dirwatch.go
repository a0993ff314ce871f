// Package dirwatch tells when a directory may have changed: when a name in it
// came, went, or was given to another file. What is written into a file that
// keeps its name is not told.
//
// An event is a hint and carries nothing; the directory is the truth. Who
// begins to watch looks at the directory once without a hint.
//
// All watches of a process share one inotify instance (or what the system has
// in its place), for these are few. It is made for the first Watcher and freed
// with the last, and that is not cheap: who watches often keeps one open.
package dirwatch

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// Watcher watches one directory, or one name in it, for one receiver.
type Watcher struct {
	path    string // of the directory
	name    string // "" = all in it
	events  chan struct{}
	poll    *poll // nil where the system tells
	closing sync.Once
	err     error // of Close
}

// PollVariable is the name of an environment variable: with the value 1, no
// directory is watched by the system and each is looked at in turn.
const PollVariable = "IPCMGR_POLL"

// Watch begins to watch the directory at path, which exists; the error matches
// fs.ErrNotExist if not. If the directory goes, that is an event, and so is one
// that appears in its place, which is watched from then on.
//
// Where the system has no watch left to give, the Watcher looks at the
// directory every 100 ms, and notice, if not nil, is told why, once, before
// Watch returns.
func Watch(path string, notice func(error)) (*Watcher, error) {
	return WatchName(path, "", notice)
}

// WatchName is Watch for one name in the directory, which need not stand there.
// What happens to others costs little: where hundreds share a directory and each
// cares for a name of its own, all would look at each change of all.
func WatchName(path, name string, notice func(error)) (*Watcher, error) {
	path, err := resolve(path)
	if err != nil {
		return nil, fmt.Errorf("watch: %w", err)
	}
	w := &Watcher{path: path, name: name, events: make(chan struct{}, 1)}
	if os.Getenv(PollVariable) == "1" {
		err = fmt.Errorf("the environment variable %s asks for it", PollVariable)
	} else {
		err = shared.add(w)
	}
	if err == nil {
		return w, nil
	}
	// It may be the directory's fault and not the system's.
	if info, statErr := os.Stat(path); statErr != nil {
		return nil, fmt.Errorf("watch: %w", statErr)
	} else if !info.IsDir() {
		return nil, fmt.Errorf("watch %s: not a directory", path)
	}
	w.poll = startPoll(path, name, w.hint)
	if notice != nil {
		notice(fmt.Errorf("%s is looked at every %v, not watched: %w", filepath.Join(path, name), lookEvery, err))
	}
	return w, nil
}

// Events gives a value when the directory may have changed since the last one:
// look again. Many changes may be one event, and an event may be about none.
// The channel is not closed.
func (w *Watcher) Events() <-chan struct{} { return w.events }

// Polling says whether the directory is looked at in turn.
func (w *Watcher) Polling() bool { return w.poll != nil }

// Close ends the watch. No event is sent after it has returned.
func (w *Watcher) Close() error {
	w.closing.Do(func() {
		if w.poll != nil {
			w.poll.stop()
		} else {
			w.err = shared.remove(w)
		}
	})
	return w.err
}

func (w *Watcher) hint() {
	select {
	case w.events <- struct{}{}:
	default: // one is waiting to be taken, which will do
	}
}

// resolve gives a directory the same name whatever way leads to it: two names
// of one directory share one inotify watch, which reports only the first.
func resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}
