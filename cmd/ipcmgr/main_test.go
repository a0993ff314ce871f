//go:build unix

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ipcmgr/ipcmgr/internal/trial"
	"github.com/ipcmgr/ipcmgr/proc"
)

// The test binary is the command too: it is copied into the scripts' PATH
// under its name, and starts itself again as a worker.
func TestMain(m *testing.M) {
	// With the race detector each process would wait for a second at its end.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	testscript.Main(m, map[string]func(){"ipcmgr": func() {
		beforeHash = disturb
		proc.Init()
		os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}, "calc": calc, "parent": parent})
}

// disturb does what must not be left to chance: a file called "vanishing" is
// gone when it is to be hashed, and the first worker that comes to the file
// next to a pipe called "gate" stays there until it is killed.
func disturb(path string) {
	switch filepath.Base(path) {
	case "vanishing":
		_ = os.Remove(path)
	case "held":
		gate, err := os.OpenFile(filepath.Join(filepath.Dir(path), "gate"), os.O_WRONLY, 0)
		if err != nil { // another worker was held here, and the gate is gone
			return
		}
		fmt.Fprintln(gate, os.Getpid())
		gate.Close()
		select {}
	}
}

// kind is a protocol with a serializer.
type kind struct{ protocol, serializer string }

var kinds = viable(
	kind{"fsqueue", "json"}, kind{"fsqueue", "msgpack"},
	kind{"unixsocket", "json"}, kind{"unixsocket", "msgpack"},
	kind{"bbolt", "json"}, kind{"bbolt", "msgpack"},
	kind{"shm", "msgpack"},
)

func viable(kinds ...kind) []kind {
	return slices.DeleteFunc(kinds, func(k kind) bool { return len(trial.Viable(k.protocol)) == 0 })
}

func (k kind) String() string { return k.protocol + "+" + k.serializer }

// keeps says whether a mailbox stays while nobody holds it.
func (k kind) keeps() bool { return k.protocol != "unixsocket" }

func TestScripts(t *testing.T) {
	for _, k := range viable(kind{"fsqueue", "json"}, kind{"unixsocket", "msgpack"}, kind{"bbolt", "json"}, kind{"shm", "json"}) {
		t.Run(k.String(), func(t *testing.T) { runScripts(t, k, "testdata/script") })
	}
}

func TestDemoScripts(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.String(), func(t *testing.T) { runScripts(t, k, "testdata/demo") })
	}
}

func runScripts(t *testing.T, k kind, dir string) {
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		WorkdirRoot:         trial.Place(t, k.protocol),
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			run, err := os.MkdirTemp("", "ipcmgr") // short, to leave room for a socket's name
			if err != nil {
				return err
			}
			env.Setenv("XDG_RUNTIME_DIR", run)
			env.Setenv("GORACE", os.Getenv("GORACE"))
			env.Setenv("P", k.protocol)
			env.Setenv("S", k.serializer)
			env.Setenv("ROUTE", filepath.Join(env.WorkDir, "st"))
			env.Setenv("STORE", k.String()+"://"+filepath.Join(env.WorkDir, "st"))
			env.Defer(func() {
				left, err := filepath.Glob(run + "/ipcmgr/*")
				if err = errors.Join(err, os.RemoveAll(run)); err != nil || left != nil {
					env.T().Log("left behind: ", left, err)
					env.T().FailNow()
				}
			})
			return nil
		},
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "keeps":
				return k.keeps(), nil
			case "perl":
				return k == kind{"fsqueue", "json"}, nil
			case "syncs":
				return k.protocol == "fsqueue" || k.protocol == "bbolt", nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":   exits,
			"oddtree": oddTree,
		},
	})
}

// exits runs a command and checks its exit status: exits STATUS CMD ARG...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS CMD ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit status %d, not %d", got, want)
	}
}

// oddTree makes a directory of files with names that are hard to print, and of
// things that are no regular files.
func oddTree(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(makeOddTree(ts.MkAbs(args[0])))
}
