package ipctest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"testing"
	"time"
)

var patience = flag.Duration("ipctest.wait", 30*time.Second, "how long a test waits for what is to happen")

var began = time.Now()

// Context gives a context that ends with the test, and before the -timeout of
// the test binary: for what the test itself waits for.
func Context(t testing.TB) context.Context {
	ctx := t.Context()
	if end, ok := deadline(t); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, end.Add(-reserve(end)), errTimeout)
		t.Cleanup(cancel)
	}
	return ctx
}

var errTimeout = errors.New("the -timeout of the test binary is near")

// waiting gives the context of one call that waits.
func waiting(t testing.TB) (context.Context, context.CancelFunc) {
	cause := fmt.Errorf("it did not happen within %v (-ipctest.wait)", *patience)
	ctx, cancel := context.WithTimeoutCause(t.Context(), *patience, cause)
	end, ok := deadline(t)
	if !ok {
		return ctx, cancel
	}
	earlier, cancelEarlier := context.WithDeadlineCause(ctx, end.Add(-reserve(end)), errTimeout)
	return earlier, func() { cancelEarlier(); cancel() }
}

// finishing gives the context of a clean-up, when the test's own has ended.
func finishing(t testing.TB) (context.Context, context.CancelFunc) {
	limit := *patience
	if end, ok := deadline(t); ok {
		limit = min(limit, time.Until(end)-reserve(end)/4)
	}
	return context.WithTimeout(context.Background(), limit)
}

// deadline is when the test binary panics. There is none inside a bubble of
// testing/synctest, where asking panics.
func deadline(t testing.TB) (end time.Time, ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	if d, has := t.(interface{ Deadline() (time.Time, bool) }); has {
		return d.Deadline()
	}
	return time.Time{}, false
}

// reserve is how long before the deadline a test is to fail, so that the
// failure and the clean-up still fit.
func reserve(end time.Time) time.Duration { return min(5*time.Second, end.Sub(began)/4) }

// complain fails the test, unless it has failed already: then what follows is
// perhaps only a consequence.
func complain(t testing.TB, format string, args ...any) {
	t.Helper()
	if t.Failed() {
		t.Logf("and also: "+format, args...)
		return
	}
	t.Errorf(format, args...)
}
