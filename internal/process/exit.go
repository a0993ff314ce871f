package process

import (
	"fmt"
	"os"
	"sync"
	"time"
)

// Exit is a watch on one process.
type Exit struct {
	done  chan struct{} // closed when the process has ended
	ended chan struct{} // closed when the watching goroutine has
	stop  func() error  // makes it end
	look  func() bool   // asks the system whether the process has ended
}

// Watch watches a process until it ends or Close is called. The error matches
// os.ErrProcessDone if it has ended already, also when another process runs
// under its pid now. It costs a goroutine and, on Linux, a descriptor.
func Watch(id ID) (*Exit, error) { return watch(id) }

// Done is closed soon after the process has ended, whether or not its parent
// has asked for its status. It is not closed by Close.
func (e *Exit) Done() <-chan struct{} { return e.done }

// Ended says whether the process has ended, also where Done is about to be
// closed only: who has waited for a child finds that it has. Not after Close.
func (e *Exit) Ended() bool {
	select {
	case <-e.done:
		return true
	default:
		return e.look()
	}
}

// Close ends the watch and frees what it held. A second Close is harmless.
func (e *Exit) Close() error {
	err := e.stop()
	<-e.ended
	return err
}

// lookEvery is how often a process is looked at where the kernel does not
// announce its end.
const lookEvery = 50 * time.Millisecond

// watchByTimer looks at the process in turn: for systems that have no better.
func watchByTimer(id ID) (*Exit, error) {
	if !Alive(id) {
		return nil, done(id)
	}
	if id.Start == 0 {
		id.Start, _ = Start(id.PID) // so that a successor under its pid is not taken for it
	}
	quit := make(chan struct{})
	once := sync.OnceFunc(func() { close(quit) })
	e := &Exit{
		done:  make(chan struct{}),
		ended: make(chan struct{}),
		stop:  func() error { once(); return nil },
		look:  func() bool { return !Alive(id) },
	}
	go func() {
		defer close(e.ended)
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
				if !Alive(id) {
					close(e.done)
					return
				}
			}
		}
	}()
	return e, nil
}

func done(id ID) error { return fmt.Errorf("process %d: %w", id.PID, os.ErrProcessDone) }
