package service

import (
	"context"
	"fmt"
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
	if err := c.start(ctx, &f.call, body); err != nil {
		return f.value, f.call.failed(err)
	}
	defer c.forget(&f.call)
	return f.Await(ctx)
}

// Future is a call under way.
type Future[Resp any] struct {
	call   call
	caller *Caller
	value  Resp
	stop   func() bool
}

func newFuture[Resp any](c *Caller, service, method string) *Future[Resp] {
	f := &Future[Resp]{caller: c}
	f.call = call{service: service, method: method, done: make(chan struct{})}
	f.call.take = func(m *ipcmgr.Message) error {
		var v responseOf[Resp]
		err := m.Decode(&v)
		f.value = v.Response
		return err
	}
	return f
}

// Go begins a call. The answer is waited for with Await, until ctx ends.
func Go[Resp any](ctx context.Context, c *Caller, service, method string, req any) *Future[Resp] {
	f := newFuture[Resp](c, service, method)
	if err := c.start(ctx, &f.call, methodCall{method, req}); err != nil {
		f.call.err = err
		close(f.call.done)
		return f
	}
	f.stop = context.AfterFunc(ctx, func() { c.abandon(&f.call, context.Cause(ctx)) })
	return f
}

// Await waits for the answer, as Call does. It may be called again, also when
// ctx has ended before.
func (f *Future[Resp]) Await(ctx context.Context) (Resp, error) {
	if err := f.caller.await(ctx, &f.call); err != nil {
		var zero Resp
		return zero, f.call.failed(err)
	}
	if f.stop != nil {
		f.stop()
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
// active service of the store if none is named, and waits for all. The answers
// are in the order of the services. The error says only that the services could
// not be listed.
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
	for n, id := range services {
		calls[n] = Go[Resp](ctx, c, id, method, req)
	}
	answers := make([]Answer[Resp], len(services))
	for n, f := range calls {
		v, err := f.Await(ctx)
		answers[n] = Answer[Resp]{services[n], v, err}
	}
	return answers, nil
}

// call is the part of a call that does not depend on the type of its answer.
type call struct {
	id, service, method string
	take                func(*ipcmgr.Message) error
	base                incarnation // of the service when the call was made
	began               time.Time   // when the request was about to be sent
	sent                bool        // the request was accepted
	lost                error       // why there will be no answer, unless it is in the mailbox
	done                chan struct{}
	err                 error // once done is closed
}

// settled says whether the call has ended.
func (p *call) settled() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// failed says which call failed. An answer says it itself.
func (p *call) failed(err error) error {
	if _, ok := err.(*RemoteError); ok {
		return err
	}
	return fmt.Errorf("%s: %w", describe(p.service, p.method), err)
}

// answered ends a call that is no longer in the caller's map.
func (p *call) answered(m *ipcmgr.Message, h head) {
	if h.Error != nil {
		text, ok := h.Error.(string)
		if !ok {
			text = fmt.Sprint(h.Error)
		}
		p.err = &RemoteError{Service: p.service, Method: p.method, Code: h.Code, Text: text}
	} else {
		p.err = p.take(m)
	}
	close(p.done)
}

// start sends the request.
func (c *Caller) start(ctx context.Context, p *call, body any) error {
	base, err := c.meet(ctx, p.service)
	if err != nil {
		return err
	}
	p.base = base
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return ipcmgr.ErrClosed
	}
	p.id = c.nextID()
	p.began = time.Now()
	c.calls[p.id] = p
	c.mu.Unlock()
	m := ipcmgr.NewMessage(requestContent{p.id, body})
	m.Headers = headersFor(ctx)
	if err := c.Client.Send(ctx, p.service, m); err != nil {
		c.forget(p)
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p.sent = true
	c.recheck(p)
	return nil
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
	p.err = err
	close(p.done)
	c.wakeReader(errWoken) // it may be who waits for this call
}
