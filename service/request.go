package service

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipcmgr/ipcmgr"
)

// Request is one request that a service is to answer.
type Request struct {
	ID          string
	From        string
	Method      string            // "" when it is not a call of a method
	Redelivered bool              // a service that crashed may have handled it
	Headers     map[string]string // must not be changed

	m       *ipcmgr.Message
	s       *Service
	began   time.Time
	ctx     context.Context
	release context.CancelFunc

	deferred atomic.Bool
	answered sync.Once
}

type requestKey struct{}

// RequestOf gives the request that a handler's context belongs to, or nil.
func RequestOf(ctx context.Context) *Request {
	r, _ := ctx.Value(requestKey{}).(*Request)
	return r
}

// Defer makes the answer the program's business: what the handler returns then
// is ignored, unless it is an error and the answer is not given yet. The
// handler's context goes on until the answer is given. A service that ends
// answers what is still deferred with Ending.
func (r *Request) Defer() *Reply {
	r.deferred.Store(true)
	return &Reply{r}
}

// Reply is the answer to a request, to be given later.
type Reply struct{ r *Request }

// Send answers with a value. ErrAnswered when the request is answered, for which
// it waits if that is under way; other errors say that the answer did not reach
// the caller's mailbox.
func (p *Reply) Send(value any) error { return p.r.answer(value, nil) }

// Fail answers with an error, as if the handler had returned it.
func (p *Reply) Fail(err error) error { return p.r.answer(nil, err) }

// openRequests are those that are not answered.
type openRequests struct {
	mu  sync.Mutex
	all map[*Request]struct{}
}

func (o *openRequests) add(r *Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.all == nil {
		o.all = map[*Request]struct{}{}
	}
	o.all[r] = struct{}{}
}

func (o *openRequests) remove(r *Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.all, r)
}

func (o *openRequests) list() []*Request {
	o.mu.Lock()
	defer o.mu.Unlock()
	var rs []*Request
	for r := range o.all {
		rs = append(rs, r)
	}
	return rs
}

func (o *openRequests) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.all)
}

// serveRequest runs the handler of a request and answers it, unless the handler
// defers that.
func (s *Service) serveRequest(ctx context.Context, it item) {
	r := &Request{
		ID: it.RequestID, From: it.m.From, Method: it.Method, Redelivered: it.m.Redelivered, Headers: it.m.Headers,
		m: it.m, s: s, began: time.Now(),
	}
	ctx = context.WithValue(ctx, requestKey{}, r)
	if t := (Trace{r.Headers[headerParent], r.Headers[headerState]}); t != (Trace{}) {
		ctx = WithTrace(ctx, t)
	}
	if deadline := deadlineOf(it.m); !deadline.IsZero() {
		r.ctx, r.release = context.WithDeadline(ctx, deadline)
	} else {
		r.ctx, r.release = context.WithCancel(ctx)
	}
	s.open.add(r)
	var value any
	err := r.ctx.Err()
	if err == nil {
		err = s.protect(func() (err error) {
			value, err = s.handler(r.Method)(r.ctx, r)
			return err
		})
	}
	if !r.deferred.Load() || err != nil {
		_ = r.answer(value, err) // that it did not arrive is counted; the service lives on
	}
}

// answer answers the request, or waits until another has.
func (r *Request) answer(value any, err error) error {
	given := error(ErrAnswered)
	r.answered.Do(func() { given = r.give(value, err) })
	return given
}

// give sends the one response, and acknowledges the request.
func (r *Request) give(value any, err error) error {
	defer r.release()
	defer r.s.open.remove(r)
	if err != nil && r.s.durable && r.s.caller.Store().Features().Suspends && r.s.interrupted() {
		return r.m.Requeue() // for the next incarnation
	}
	resp := r.s.responseTo(r, value, err)
	r.s.counts.answered(r, resp) // before the caller can ask
	sendErr := r.send(resp)
	if sendErr != nil && err == nil && !unreachable(sendErr) && r.ctx.Err() == nil { // the value, not the caller
		resp = r.s.responseTo(r, nil, sendErr)
		r.s.counts.erred(r, resp)
		sendErr = r.send(resp)
	}
	if sendErr != nil {
		r.s.counts.undelivered()
	}
	settle(r.ctx, r.m)
	return sendErr
}

// send gives up waiting for room in the caller's mailbox when nobody waits for
// the answer any more.
func (r *Request) send(resp responseContent) error {
	c := r.s.caller.Client
	if r.ctx.Err() == nil {
		err := c.Send(r.ctx, r.From, resp)
		if err == nil || r.ctx.Err() == nil {
			return err
		}
	}
	return c.TrySend(context.WithoutCancel(r.ctx), r.From, resp)
}

// unreachable says whether an error of Send is about the peer, and not about
// the content.
func unreachable(err error) bool {
	for _, e := range []error{ipcmgr.ErrNoPeer, ipcmgr.ErrPeerGone, ipcmgr.ErrPeerCrashed, ipcmgr.ErrClosed, ipcmgr.ErrUnsure, ipcmgr.ErrFull} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// responseTo is the response to a request.
func (s *Service) responseTo(r *Request, value any, err error) responseContent {
	resp := responseContent{ID: r.ID, Response: value}
	if err == nil {
		return resp
	}
	resp.Response = nil
	var public *Error
	switch {
	case errors.As(err, &public):
		resp.Code, resp.Error = public.Code, public.Text
	case r.ctx.Err() == context.DeadlineExceeded && errors.Is(err, context.DeadlineExceeded):
		resp.Code, resp.Error = TimedOut, "the deadline of the request has passed"
	case s.interrupted() && (errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(s.ctx))):
		resp.Code, resp.Error = Ending, "the service ends"
	case s.details:
		resp.Code, resp.Error = Internal, err.Error()
	default:
		resp.Code, resp.Error = Internal, internalText
	}
	if resp.Error == "" {
		resp.Error = internalText
	}
	if resp.Code == Internal {
		s.log.Warn("ipcmgr: a request failed", "service", s.caller.ID(), "method", r.Method, "from", r.From, "err", err)
	}
	return resp
}

// interrupted says whether the service ends because its context has.
func (s *Service) interrupted() bool { return s.ctx.Err() != nil }

// abandonOpen answers what is deferred when the service ends. Nothing is half
// answered then; a caller that has no room by the end loses its answer.
func (s *Service) abandonOpen() {
	open := s.open.list()
	late := time.AfterFunc(finishWithin, func() {
		for _, r := range open {
			r.release()
		}
	})
	defer late.Stop()
	for _, r := range open {
		_ = r.answer(nil, Errorf(Ending, "the service ends"))
	}
}
