package service

import "context"

// Trace is the trace context of a request, as W3C's Trace Context defines its
// two headers. A handler's context has that of its request, and a call made
// with a context carries on what is in it.
type Trace struct{ Parent, State string }

type traceKey struct{}

// WithTrace returns a context whose calls carry t.
func WithTrace(ctx context.Context, t Trace) context.Context {
	return context.WithValue(ctx, traceKey{}, t)
}

// TraceOf gives the trace context that ctx has.
func TraceOf(ctx context.Context) Trace {
	t, _ := ctx.Value(traceKey{}).(Trace)
	return t
}
