package dirwatch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/stretchr/testify/require"
)

// hang is when anything is called stuck.
const hang = time.Minute

// A user has few inotify instances, and other tests may have them all at this
// moment.
func init() {
	shared.open = func() (n *fsnotify.Watcher, err error) {
		for deadline := time.Now().Add(hang); time.Now().Before(deadline); runtime.Gosched() {
			if n, err = fsnotify.NewWatcher(); !errors.Is(err, syscall.EMFILE) {
				break
			}
		}
		return n, err
	}
}

// both runs a test with the system's watches and with polling.
func both(t *testing.T, test func(t *testing.T)) {
	for name, poll := range map[string]string{"system": "", "poll": "1"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(PollVariable, poll)
			before := runtime.NumGoroutine()
			t.Cleanup(func() { freed(t, before) })
			test(t)
		})
	}
}

// freed waits until nothing is left of all watches.
func freed(t *testing.T, goroutines int) {
	t.Helper()
	shared.change.Lock()
	n := shared.notify
	shared.change.Unlock()
	require.Nil(t, n)
	for deadline := time.Now().Add(hang); runtime.NumGoroutine() > goroutines; runtime.Gosched() {
		require.True(t, time.Now().Before(deadline), "a goroutine is left")
	}
}

func watch(t *testing.T, path string) *Watcher {
	t.Helper()
	w, err := Watch(path, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.Close()) })
	return w
}

func told(t *testing.T, w *Watcher) {
	t.Helper()
	select {
	case <-w.Events():
	case <-time.After(hang):
		t.Fatalf("the change of %s was not told", w.path)
	}
}

// settled waits until a directory that was lost is watched again and takes the
// event that came of it, so that the next one is about something else.
func settled(t *testing.T, w *Watcher) {
	t.Helper()
	watched := func() bool {
		shared.table.Lock()
		defer shared.table.Unlock()
		return w.Polling() || shared.dirs[w.path].rearm == nil
	}
	for deadline := time.Now().Add(hang); !watched(); runtime.Gosched() {
		require.True(t, time.Now().Before(deadline), "%s is not watched again", w.path)
	}
	drain(w)
}

// drain takes an event that is there.
func drain(w *Watcher) {
	select {
	case <-w.Events():
	default:
	}
}

// A name that comes and goes between two looks, and is seen in between, is told
// of: who saw it would believe that it still stands.
func TestPollTellsOfANameThatCameAndWent(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Chtimes(dir, time.Time{}, time.Now().Add(-time.Hour)))
	before := lookAtOne(dir, "a")
	require.True(t, before.same(lookAtOne(dir, "a")))
	write(t, filepath.Join(dir, "a"))
	require.NoError(t, os.Remove(filepath.Join(dir, "a")))
	require.False(t, before.same(lookAtOne(dir, "a")))
}

// until takes events until the condition holds, which one of them must tell.
func until(t *testing.T, w *Watcher, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(hang)
	for !holds() {
		select {
		case <-w.Events():
		case <-deadline:
			t.Fatal("not told: " + what)
		}
	}
}

// write makes a file the way a store does: elsewhere, then renamed into place.
func write(t *testing.T, path string) {
	t.Helper()
	temp := filepath.Join(t.TempDir(), "temp")
	require.NoError(t, os.WriteFile(temp, []byte("x"), 0o600))
	require.NoError(t, os.Rename(temp, path))
}

func TestEvents(t *testing.T) {
	both(t, func(t *testing.T) {
		dir := t.TempDir()
		w := watch(t, dir)
		require.Equal(t, os.Getenv(PollVariable) == "1", w.Polling())
		file := filepath.Join(dir, "a")
		for range 3 {
			write(t, file)
			told(t, w)
			require.NoError(t, os.Remove(file))
			told(t, w)
		}
		require.NoError(t, os.Mkdir(file, 0o700))
		told(t, w)
	})
}

// Who watches one name is told of that and of the directory's end. While the name
// stands, what happens to others is not told: there is hardly an event that is
// about none.
func TestOneName(t *testing.T) {
	both(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "dir")
		require.NoError(t, os.Mkdir(dir, 0o700))
		mine, err := WatchName(dir, "mine", nil)
		require.NoError(t, err)
		defer mine.Close()
		all := watch(t, dir)
		for range 3 {
			write(t, filepath.Join(dir, "mine"))
			told(t, mine)
			none := 0
			for i := range 20 {
				write(t, filepath.Join(dir, fmt.Sprint("other", i)))
				told(t, all)
				none += len(mine.Events())
				drain(mine)
			}
			require.Less(t, none, 5)
			require.NoError(t, os.Remove(filepath.Join(dir, "mine")))
			told(t, mine)
		}
		write(t, filepath.Join(dir, "mine"))
		told(t, mine)
		require.NoError(t, os.RemoveAll(dir))
		told(t, mine)
	})
}

// Every change is followed by an event, however many share one.
func TestNoChangeIsMissed(t *testing.T) {
	both(t, func(t *testing.T) {
		dir := t.TempDir()
		w := watch(t, dir)
		const files = 500
		go func() {
			for i := range files {
				os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o600)
			}
		}()
		until(t, w, "all files", func() bool {
			names, err := os.ReadDir(dir)
			require.NoError(t, err)
			return len(names) == files
		})
	})
}

// A name may be given to another file without a trace while the directory's time
// stands still. One event tells of that, when the time has passed.
func TestPollDoesNotTrustAFreshTime(t *testing.T) {
	info, err := os.Stat(t.TempDir())
	require.NoError(t, err)
	after := func(d time.Duration) sight { return sight{info: info, taken: info.ModTime().Add(d)} }
	sights := []sight{after(1), after(coarse), after(coarse + 1), after(2 * coarse), after(3 * coarse)}
	p := &poll{quit: make(chan struct{}), ended: make(chan struct{})}
	looks := 0
	p.look = func(sight) sight {
		if looks++; looks == len(sights) {
			close(p.quit)
		}
		return sights[min(looks, len(sights))-1]
	}
	var told []int // by which look
	p.run(after(0), func() { told = append(told, looks) })
	require.Equal(t, []int{3}, told)
}

// Several watchers of one directory, under whatever names, are all told, and
// one that closes takes nothing from the others.
func TestSharing(t *testing.T) {
	both(t, func(t *testing.T) {
		dir := t.TempDir()
		link := filepath.Join(t.TempDir(), "link")
		require.NoError(t, os.Symlink(dir, link))
		first, second, third := watch(t, dir), watch(t, link), watch(t, dir+"/.")
		write(t, filepath.Join(dir, "a"))
		told(t, first)
		told(t, second)
		told(t, third)
		require.NoError(t, first.Close())
		require.NoError(t, first.Close())
		drain(first) // a second one about a, from before
		write(t, filepath.Join(dir, "b"))
		told(t, second)
		told(t, third)
		select {
		case <-first.Events():
			t.Fatal("told after Close")
		default:
		}
	})
}

// A directory and one in it are watched apart.
func TestNested(t *testing.T) {
	both(t, func(t *testing.T) {
		dir := t.TempDir()
		sub := filepath.Join(dir, "sub")
		require.NoError(t, os.Mkdir(sub, 0o700))
		outer, inner := watch(t, dir), watch(t, sub)
		write(t, filepath.Join(sub, "a"))
		told(t, inner)
		require.NoError(t, os.RemoveAll(sub))
		told(t, outer)
		told(t, inner)
	})
}

// A directory that goes is an event, and so is one that comes in its place,
// which is watched.
func TestRecreated(t *testing.T) {
	both(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "dir")
		require.NoError(t, os.Mkdir(dir, 0o700))
		w := watch(t, dir)
		for range 2 {
			require.NoError(t, os.Remove(dir))
			told(t, w)
			require.NoError(t, os.Mkdir(dir, 0o700))
			told(t, w)
			settled(t, w)
			file := filepath.Join(dir, "a")
			write(t, file)
			told(t, w)
			require.NoError(t, os.Remove(file))
		}
		require.NoError(t, os.Rename(dir, dir+"2"))
		told(t, w)
		require.NoError(t, os.Mkdir(dir, 0o700))
		write(t, filepath.Join(dir, "a"))
		told(t, w)
	})
}

func TestCloseWhileLost(t *testing.T) {
	both(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "dir")
		require.NoError(t, os.Mkdir(dir, 0o700))
		w := watch(t, dir)
		require.NoError(t, os.Remove(dir))
		told(t, w)
		require.NoError(t, w.Close())
	})
}

// Watches that come and go while events stream in do not lock up.
func TestChurn(t *testing.T) {
	both(t, func(t *testing.T) {
		dir := t.TempDir()
		stop := make(chan struct{})
		var writer, watchers sync.WaitGroup
		for i := range 2 {
			writer.Go(func() {
				file := filepath.Join(dir, fmt.Sprint(i))
				for {
					select {
					case <-stop:
						return
					default:
						os.WriteFile(file, nil, 0o600)
						os.Remove(file)
					}
				}
			})
		}
		for range 4 {
			watchers.Go(func() {
				for range 8 {
					w, err := Watch(dir, nil)
					if err != nil {
						t.Error(err)
						return
					}
					<-w.Events()
					if err := w.Close(); err != nil {
						t.Error(err)
					}
				}
			})
		}
		watchers.Wait()
		close(stop)
		writer.Wait()
	})
}

func TestWatchRefuses(t *testing.T) {
	both(t, func(t *testing.T) {
		_, err := Watch(filepath.Join(t.TempDir(), "none"), nil)
		require.ErrorIs(t, err, fs.ErrNotExist)
	})
	t.Setenv(PollVariable, "1")
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := Watch(file, nil)
	require.ErrorContains(t, err, "not a directory")
}

func TestNotice(t *testing.T) {
	var notices []error
	notice := func(err error) { notices = append(notices, err) }
	w, err := Watch(t.TempDir(), notice)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.Empty(t, notices)
	t.Setenv(PollVariable, "1")
	w, err = Watch(t.TempDir(), notice)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.Len(t, notices, 1)
	require.ErrorContains(t, notices[0], PollVariable)
}

// An overflow, or any other error, may have cost events of every directory.
func TestErrorTellsAll(t *testing.T) {
	first, second := watch(t, t.TempDir()), watch(t, t.TempDir())
	shared.change.Lock()
	n := shared.notify
	shared.change.Unlock()
	n.Errors <- fsnotify.ErrEventOverflow
	told(t, first)
	told(t, second)
}

// A user has few inotify instances. Where there is none left, the directory is
// looked at in turn, and a later Watch is one of the system's again.
func TestNoInstanceLeft(t *testing.T) {
	none := errors.New("too many open files")
	open := shared.open
	shared.open = func() (*fsnotify.Watcher, error) { return nil, none }
	t.Cleanup(func() { shared.open = open })
	var notices []error
	dir := t.TempDir()
	w, err := Watch(dir, func(err error) { notices = append(notices, err) })
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.Close()) })
	require.True(t, w.Polling())
	require.Len(t, notices, 1)
	require.ErrorIs(t, notices[0], none)
	write(t, filepath.Join(dir, "a"))
	told(t, w)
	shared.open = open
	require.False(t, watch(t, dir).Polling())
}
