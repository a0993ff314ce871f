package proc

import (
	"fmt"
	"os"
)

// ExitError is how a child ended that did not end well. It unwraps to the
// *exec.ExitError, if its status was not 0.
type ExitError struct {
	ID     string
	State  *os.ProcessState
	Stderr string // its last lines, if its standard error was read here
	Err    error
}

func (e *ExitError) Error() string {
	return fmt.Sprintf("child %q (pid %d) ended: %v%s", e.ID, e.State.Pid(), e.Err, lastWords(e.Stderr))
}

func (e *ExitError) Unwrap() error { return e.Err }

func (c *Child) lastWords() string { return lastWords(c.tail.String()) }

func lastWords(stderr string) string {
	if stderr == "" {
		return ""
	}
	return "; it last wrote: " + stderr
}
