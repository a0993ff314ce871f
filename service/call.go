package service

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/ipcmgr/ipcmgr"
)

// Call asks a service to run one of its methods, and waits for the answer. The
// deadline of ctx and its Trace travel with the request.
//
// It fails with a *RemoteError when the service answers with one; as Send does
// when the request is not accepted; with ErrPeerGone as soon as the service
// disconnects, crashes or misses the deadline of its suspension, unless its
// answer is in the mailbox by then. It goes on waiting while the service is
// suspended, and while one that is Durable has crashed, over a protocol that
// redelivers. An answer of null leaves the zero value.
//
// A service that had crashed before is not sent the request. But a call that
// fails once the request was accepted may be done all the same: by then, or by
// the next client that takes up the mailbox of the service.
//
// Who waits in a call learns only afterwards, when it receives again, that the
// store's owner asks to terminate: a call that may take long should have a
// context that ends.
func Call[Resp any](ctx context.Context, c *Caller, service, method string, req any) (Resp, error) {
	return request[Resp](ctx, c, service, method, methodCall{method, req})
}

// CallRaw is Call with a request of any form: what a Perl service gets as the
// request, or the catch-all of one of ours.
func CallRaw[Resp any](ctx context.Context, c *Caller, service string, req any) (Resp, error) {
	return request[Resp](ctx, c, service, "", req)
}

func request[Resp any](ctx context.Context, c *Caller, service, method string, body any) (Resp, error) {
	f := newFuture[Resp](c, service, method)
	c.start(ctx, &f.call, body)
	defer c.forget(&f.call)
	return f.Await(ctx)
}

// Future is a call under way.
type Future[Resp any] struct {
	call   call
	caller *Caller
	value  Resp
}

func newFuture[Resp any](c *Caller, service, method string) *Future[Resp] {
	f := &Future[Resp]{caller: c}
	f.call = call{service: service, method: method, done: make(chan struct{})}
	f.call.take = func(m *ipcmgr.Message) error {
		var v responseOf[Resp]
		if err := m.Decode(&v); err != nil {
			return &answerError{reflect.TypeFor[Resp](), err}
		}
		f.value = v.Response
		return nil
	}
	return f
}

// Go begins a call. It waits as Send does while the mailbox of the service is
// full. The answer is waited for with Await, until ctx ends.
func Go[Resp any](ctx context.Context, c *Caller, service, method string, req any) *Future[Resp] {
	f := newFuture[Resp](c, service, method)
	f.begin(ctx, methodCall{method, req})
	return f
}

// begin sends the request of a call that ends with ctx.
func (f *Future[Resp]) begin(ctx context.Context, body any) {
	f.call.stop = context.AfterFunc(ctx, func() { f.caller.abandon(&f.call, context.Cause(ctx)) })
	f.caller.start(ctx, &f.call, body)
}

// Await waits for the answer, as Call does. It may be called again, also when
// ctx has ended before.
func (f *Future[Resp]) Await(ctx context.Context) (Resp, error) {
	if err := f.caller.await(ctx, &f.call); err != nil {
		var zero Resp
		return zero, f.call.failed(err)
	}
	return f.value, nil
}

// Done is closed when Await would not wait. It is of use only while another
// goroutine waits for an answer or a message of the same Caller: nobody else
// receives.
func (f *Future[Resp]) Done() <-chan struct{} { return f.call.done }

// Answer is what one of several services answered.
type Answer[Resp any] struct {
	Service string
	Value   Resp
	Err     error
}

// CallAll makes the same call at each of the services at once, or at every
// active service of the store if none is named, and waits for all; a full one
// does not hold up the others. The answers are in the order of the services. The
// error says only that the services could not be listed.
func CallAll[Resp any](ctx context.Context, c *Caller, method string, req any, services ...string) ([]Answer[Resp], error) {
	if len(services) == 0 {
		list, err := List(ctx, c.Store())
		if err != nil {
			return nil, err
		}
		for _, s := range list {
			if s.State == ipcmgr.Active && s.ID != c.ID() {
				services = append(services, s.ID)
			}
		}
	}
	calls := make([]*Future[Resp], len(services))
	var begun sync.WaitGroup
	for n, id := range services {
		calls[n] = newFuture[Resp](c, id, method)
		begun.Go(func() { calls[n].begin(ctx, methodCall{method, req}) })
	}
	answers := make([]Answer[Resp], len(services))
	for n, f := range calls {
		v, err := f.Await(ctx)
		answers[n] = Answer[Resp]{services[n], v, err}
	}
	begun.Wait()
	return answers, nil
}

// call is the part of a call that does not depend on the type of its answer.
type call struct {
	id, service, method string
	take                func(*ipcmgr.Message) error
	base                incarnation             // of the service when the call was made
	began               time.Time               // when the request was about to be sent
	sent                bool                    // the request was accepted
	giveUp              context.CancelCauseFunc // while it waits for room; else nil
	lost                error                   // why there will be no answer, unless it is in the mailbox
	stop                func() bool             // looking at the context that ends it; nil for Call
	done                chan struct{}
	err                 error // once done is closed
}

// settled says whether the call has ended.
func (p *call) settled() bool { return closed(p.done) }

// end is for a call that is no longer in the caller's map, or never was.
func (p *call) end(err error) {
	p.err = err
	close(p.done)
	if p.stop != nil {
		p.stop()
	}
}

// failed says which call failed. An answer says it itself.
func (p *call) failed(err error) error {
	if _, ok := err.(*RemoteError); ok {
		return err
	}
	return fmt.Errorf("%s: %w", describe(p.service, p.method), err)
}

// answered ends the call with its answer.
func (p *call) answered(m *ipcmgr.Message, h head) {
	if h.Error == nil {
		p.end(p.take(m))
		return
	}
	text, ok := h.Error.(string)
	if !ok {
		text = fmt.Sprint(h.Error)
	}
	p.end(&RemoteError{Service: p.service, Method: p.method, Code: h.Code, Text: text})
}

// start sends the request. A call that cannot begin has ended then.
func (c *Caller) start(ctx context.Context, p *call, body any) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		p.end(ipcmgr.ErrClosed)
		return
	}
	p.id = c.nextID()
	p.began = time.Now()
	c.calls[p.id] = p
	c.mu.Unlock()
	err := c.meet(ctx, p)
	if err == nil {
		err = c.send(ctx, p, body)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p.giveUp = nil
	if err != nil {
		c.settleCall(p, err)
		return
	}
	p.sent = true
	c.recheck(p)
}

// send waits for room only as long as the service may make some.
func (c *Caller) send(ctx context.Context, p *call, body any) error {
	m := ipcmgr.NewMessage(requestContent{p.id, body})
	m.Headers = headersFor(ctx)
	err := c.Client.TrySend(ctx, p.service, m)
	if errors.Is(err, ipcmgr.ErrFull) {
		waiting, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		c.mu.Lock()
		p.giveUp = cancel
		c.recheck(p)
		c.mu.Unlock()
		err = c.Client.Send(waiting, p.service, m)
	}
	if errors.Is(err, ipcmgr.ErrPeerCrashed) && !errors.Is(err, ipcmgr.ErrPeerGone) {
		err = fmt.Errorf("%w: %w", ipcmgr.ErrPeerGone, err)
	}
	return err
}

// await waits until a call is settled, and receives meanwhile if no other does.
func (c *Caller) await(ctx context.Context, p *call) error {
	r := newReader(ctx, p)
	defer r.close()
	for !p.settled() {
		select {
		case <-p.done:
			continue
		case <-ctx.Done():
			return context.Cause(ctx)
		case c.turn <- struct{}{}:
		}
		var err error
		if !p.settled() {
			err = c.read(r)
		}
		<-c.turn
		if err != nil && !p.settled() {
			return err
		}
	}
	return p.err
}

// forget makes an answer that comes later a late one.
func (c *Caller) forget(p *call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.calls, p.id)
}

// abandon settles a call whose context has ended before anybody awaited it.
func (c *Caller) abandon(p *call, why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settleCall(p, why)
}

// settleCall ends a call without an answer. c.mu is held.
func (c *Caller) settleCall(p *call, err error) {
	if c.calls[p.id] != p {
		return
	}
	delete(c.calls, p.id)
	p.end(err)
	if p.giveUp != nil {
		p.giveUp(err)
	}
	c.wakeReader(errWoken) // it may be who waits for this call
}
