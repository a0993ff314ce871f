package service

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/ipcmgr/ipcmgr"
)

// Handler answers a request: with a value, which is encoded with the store's
// serializer, or with an error. Programs write typed functions and use Handle;
// this is what middleware sees.
type Handler func(ctx context.Context, r *Request) (any, error)

// Middleware wraps a handler: to log, to trace, to limit. It sees every request,
// also one of a method that the service does not have.
type Middleware func(next Handler) Handler

// Handle sets the handler of a method. Its name has no comma, is not "*", and
// does not begin with "ipcmgr.". A request whose arguments do not decode into a
// Req is answered with BadRequest.
func Handle[Req, Resp any](s *Service, method string, f func(ctx context.Context, req Req) (Resp, error)) {
	switch {
	case method == "":
		s.setup = append(s.setup, errors.New("a method has no name: HandleAny sets the catch-all"))
	case method == catchAllName, strings.Contains(method, ","):
		s.setup = append(s.setup, fmt.Errorf("method %q: the list of methods could not tell it from others", method))
	case strings.HasPrefix(method, builtin):
		s.setup = append(s.setup, fmt.Errorf("method %q: names that begin with %q are those of the package", method, builtin))
	case s.methods[method] != nil:
		s.setup = append(s.setup, fmt.Errorf("method %q is set twice", method))
	}
	s.methods[method] = func(ctx context.Context, r *Request) (any, error) {
		var v argsOf[Req]
		if err := r.decode(&v, reflect.TypeFor[Req]()); err != nil {
			return nil, err
		}
		return f(ctx, v.Request.Args)
	}
}

// HandleAny sets the handler of requests that no method is set for: those of
// CallRaw and of Perl programs. Req is the whole request, which for a call is
// an object with the keys "method" and "args".
func HandleAny[Req, Resp any](s *Service, f func(ctx context.Context, req Req) (Resp, error)) {
	if s.catchAll != nil {
		s.setup = append(s.setup, errors.New("the catch-all is set twice"))
	}
	s.catchAll = func(ctx context.Context, r *Request) (any, error) {
		var v wholeRequest[Req]
		if err := r.decode(&v, reflect.TypeFor[Req]()); err != nil {
			return nil, err
		}
		return f(ctx, v.Request)
	}
}

// handler finds who answers a request.
func (s *Service) handler(method string) Handler {
	h := s.methods[method]
	if h == nil {
		h = s.catchAll
	}
	if h == nil {
		h = noMethod
	}
	for n := len(s.wrap) - 1; n >= 0; n-- {
		h = s.wrap[n](h)
	}
	return h
}

func noMethod(_ context.Context, r *Request) (any, error) {
	if r.Method == "" {
		return nil, Errorf(NoMethod, "the request names no method, and the service has no catch-all")
	}
	return nil, Errorf(NoMethod, "no method %q", r.Method)
}

// decode reads the content into v, in which the caller's arguments are to be of
// the type that is wanted.
func (r *Request) decode(v any, wanted reflect.Type) error {
	if err := r.m.Decode(v); err != nil {
		return Errorf(BadRequest, "the arguments are no %v: %s", wanted, misfit(err, "request"))
	}
	return nil
}

// general does a message that is no request.
func (s *Service) general(ctx context.Context, m *ipcmgr.Message) {
	if s.hooks.message == nil {
		s.log.Warn("ipcmgr: a service got a message that is no request", "service", s.caller.ID(), "from", m.From)
		settle(ctx, m)
		return
	}
	if err := s.protect(func() error { return s.hooks.message(ctx, m) }); err != nil {
		s.failedHook("message", err)
	}
	settle(ctx, m)
}
