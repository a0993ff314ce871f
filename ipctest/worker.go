package ipctest

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/proc"
)

// Worker is a function of the test binary that runs in processes of its own.
type Worker struct {
	f    func(context.Context, ipcmgr.Client) error
	proc proc.Func
}

// inWorker says that this process is a worker, and not the one that tests.
var inWorker atomic.Bool

// Register names a function, so that a copy of the test binary can find it. It
// is called where a package variable is set; each name once, or it panics.
// The function is called as by proc.Main: with a client that has taken up what
// an earlier worker of the id left, and a context that ends at SIGTERM or with the
// test binary. Returning nil disconnects; an error keeps the mailbox, and
// fails the test unless ExpectExit asks for it.
func Register(name string, f func(ctx context.Context, c ipcmgr.Client) error) Worker {
	return Worker{f, proc.Register(name, func(ctx context.Context, c ipcmgr.Client) error {
		inWorker.Store(true)
		recorded, done, err := recordInWorker(c)
		if err != nil {
			return err
		}
		defer done()
		return f(ctx, recorded)
	})}
}

// Start starts the function once for each id, and returns when all are
// connected. What they print appears in the log of the test, with their ids.
// When the test ends, they are asked to terminate, and ended if they do not;
// the test fails if one does not end well, or has not.
func (w Worker) Start(t testing.TB, st *ipcmgr.Store, ids ...string) {
	t.Helper()
	s := sceneOf(t, st)
	ctx, cancel := waiting(t)
	defer cancel()
	lines := proc.LinesTo(t.Output())
	var started []*worker
	t.Cleanup(func() {
		t.Helper()
		s.dismiss(t, started)
	})
	for _, id := range ids {
		r, err := w.launch(ctx, t, s, id, lines)
		if err != nil {
			t.Fatalf("ipctest: worker %q: %v", id, err)
		}
		started = append(started, s.add(id, r))
	}
	for _, one := range started {
		if err := one.Ready(ctx); err != nil {
			_ = s.expect(one) // it is told here
			t.Fatalf("ipctest: worker %q: %v", one.id, err)
		}
	}
}

func (w Worker) launch(ctx context.Context, t testing.TB, s *scene, id string, lines proc.Option) (runner, error) {
	if crashes(s.st) != nil {
		return s.launchHere(ctx, id, w.f)
	}
	if !staged.Load() {
		t.Fatal("ipctest: TestMain must call ipctest.Main: a worker is a copy of the test binary")
	}
	cmd := w.proc.Cmd()
	if os.Getenv(envRace) == "" {
		// The race detector otherwise makes each process wait a second before
		// it ends.
		cmd.Env = append(cmd.Env, envRace+"=atexit_sleep_ms=0")
	}
	if s.recording != nil {
		cmd.Env = append(cmd.Env, envRecord+"="+s.recording.dir)
	}
	return proc.Launch(ctx, s.st, id, cmd, lines)
}

// runner is a worker that was started: a *proc.Child, or a goroutine.
type runner interface {
	Ready(ctx context.Context) error
	Wait(ctx context.Context) error
	Done() <-chan struct{}
	Stop(ctx context.Context) error
	Kill() error
}

type worker struct {
	runner
	id       string
	expected bool // its end, whichever; guarded by the scene's mu
}

func (s *scene) add(id string, r runner) *worker {
	w := &worker{runner: r, id: id}
	s.mu.Lock()
	s.workers[id] = w
	s.mu.Unlock()
	go s.follow(w)
	return w
}

// dismiss ends workers at the end of a test.
func (s *scene) dismiss(t testing.TB, workers []*worker) {
	t.Helper()
	ctx, cancel := finishing(t)
	defer cancel()
	ends := make([]error, len(workers))
	var all sync.WaitGroup
	for n, w := range workers {
		all.Go(func() { ends[n] = s.stop(ctx, w) })
	}
	all.Wait()
	for n, w := range workers {
		if ends[n] != nil {
			complain(t, "ipctest: worker %q: %v", w.id, ends[n])
		}
	}
}

// stop stops a worker, and gives the error with which it ended unless that was
// told or wanted before.
func (s *scene) stop(ctx context.Context, w *worker) error {
	s.mu.Lock()
	told := w.expected
	w.expected = true
	delete(s.crashed, w)
	s.mu.Unlock()
	err := w.Stop(ctx)
	if told {
		return nil
	}
	return err
}

// The environment of a worker.
const (
	envRecord = "IPCMGR_IPCTEST_RECORD" // the directory to which it records
	envRace   = "GORACE"                // of Go's race detector
)

func recordingDir() string {
	dir := os.Getenv(envRecord)
	os.Unsetenv(envRecord) // not meant for the worker's own children
	return dir
}
