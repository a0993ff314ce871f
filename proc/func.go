package proc

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"

	"github.com/ipcmgr/ipcmgr"
)

// Func is a Go function that can run in a process of its own.
type Func struct{ name string }

var funcs = struct {
	sync.Mutex
	byName map[string]func(context.Context, ipcmgr.Client) error
}{byName: map[string]func(context.Context, ipcmgr.Client) error{}}

// Register names a function, so that a copy of this program can find it. It is
// called before Init, best where a package variable is set; each name once, or
// it panics:
//
//	var worker = proc.Register("worker", work)
//
//	func main() {
//		proc.Init()
//		…
//		child, err := worker.Start(ctx, st, "w1")
func Register(name string, f func(ctx context.Context, c ipcmgr.Client) error) Func {
	funcs.Lock()
	defer funcs.Unlock()
	if _, taken := funcs.byName[name]; taken {
		panic(fmt.Sprintf("proc: the function %q is registered twice", name))
	}
	funcs.byName[name] = f
	return Func{name}
}

// Init runs the function for which this process was started, as Main does, and
// does not return then. In any other process it does nothing. A program that
// registers functions calls it first in main, or in TestMain.
func Init() {
	name, ok := os.LookupEnv(envFunc)
	if !ok {
		return
	}
	os.Unsetenv(envFunc)
	funcs.Lock()
	f, ok := funcs.byName[name]
	known := strings.Join(slices.Sorted(maps.Keys(funcs.byName)), ", ")
	funcs.Unlock()
	if !ok {
		fmt.Fprintf(os.Stderr, "proc: no function is registered as %q before Init; there are: %s\n", name, known)
		os.Exit(statusFailed)
	}
	Main(f)
}

// Name is the name under which the function was registered.
func (f Func) Name() string { return f.name }

// Cmd gives a command that runs the function in a copy of this program. It
// cannot be started where main has forgotten to call Init: the copy would start
// another one, and so on.
func (f Func) Cmd() *exec.Cmd {
	self, err := os.Executable()
	cmd := exec.Command(self, f.name)
	cmd.Env = append(os.Environ(), envFunc+"="+f.name)
	if name, is := os.LookupEnv(envFunc); is {
		cmd.Err = fmt.Errorf("this process was started to run %q, and has not: main, or TestMain, must call proc.Init first", name)
	}
	if err != nil {
		cmd.Err = fmt.Errorf("this program's own file: %w", err)
	}
	return cmd
}

// Start starts the function as a child, as Start does with a command.
func (f Func) Start(ctx context.Context, st *ipcmgr.Store, id string, opts ...Option) (*Child, error) {
	return Start(ctx, st, id, f.Cmd(), opts...)
}
