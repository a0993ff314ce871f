package ipctest_test

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// fake is a test whose failure is looked at.
type fake struct {
	testing.TB
	mu      sync.Mutex
	log     strings.Builder
	failed  bool
	cleanup []func()
}

// failing runs f as a test of its own, clean-up and all, and returns what it
// has logged. It must fail.
func failing(t *testing.T, f func(t testing.TB)) string {
	t.Helper()
	log, failed := attempt(t, f)
	require.True(t, failed, "it did not fail; it said: %s", log)
	return log
}

func attempt(t *testing.T, f func(t testing.TB)) (log string, failed bool) {
	k := &fake{TB: t}
	run := func(f func()) {
		done := make(chan struct{})
		go func() { defer close(done); f() }() // Fatal ends the goroutine
		<-done
	}
	run(func() { f(k) })
	for len(k.cleanup) > 0 {
		last := k.cleanup[len(k.cleanup)-1]
		k.cleanup = k.cleanup[:len(k.cleanup)-1]
		run(last)
	}
	return k.log.String(), k.failed
}

func (k *fake) Cleanup(f func())  { k.cleanup = append(k.cleanup, f) }
func (k *fake) Failed() bool      { return k.failed }
func (k *fake) FailNow()          { k.failed = true; runtime.Goexit() }
func (k *fake) Output() io.Writer { return k }

func (k *fake) Write(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.log.Write(p)
}

func (k *fake) Logf(format string, args ...any) { fmt.Fprintf(k, format+"\n", args...) }

func (k *fake) Errorf(format string, args ...any) {
	k.failed = true
	k.Logf(format, args...)
}

func (k *fake) Fatalf(format string, args ...any) {
	k.Errorf(format, args...)
	runtime.Goexit()
}

func (k *fake) Fatal(args ...any) { k.Fatalf("%s", fmt.Sprint(args...)) }
