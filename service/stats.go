package service

import (
	"context"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// Builtin methods, which every service answers.
const (
	builtin     = "ipcmgr."
	PingMethod  = builtin + "ping"  // answers "pong"
	InfoMethod  = builtin + "info"  // answers an Info
	StatsMethod = builtin + "stats" // answers Stats
)

// Info is what a service says about itself.
type Info struct {
	ID       string    `json:"id"`
	PID      int       `json:"pid"`
	Started  time.Time `json:"started"`
	Methods  []string  `json:"methods"`
	CatchAll bool      `json:"catch_all"`
	Workers  int       `json:"workers"`
	Durable  bool      `json:"durable"`
}

// Stats are what a service has counted since Serve began. The builtin methods
// do not count.
type Stats struct {
	Requests    uint64                 `json:"requests"`    // answered
	Errors      uint64                 `json:"errors"`      // of them, with an error; and errors of hooks
	Undelivered uint64                 `json:"undelivered"` // answers that did not reach their caller
	Open        int                    `json:"open"`        // requests being handled or deferred
	LastError   string                 `json:"last_error"`  // as a caller saw it
	Processing  time.Duration          `json:"processing"`  // ns, of all requests together
	Methods     map[string]MethodStats `json:"methods"`     // "" is the catch-all
}

// MethodStats are those of one method.
type MethodStats struct {
	Requests   uint64        `json:"requests"`
	Errors     uint64        `json:"errors"`
	Processing time.Duration `json:"processing"`
	Longest    time.Duration `json:"longest"`
}

type counts struct {
	mu      sync.Mutex
	all     Stats
	methods map[string]*MethodStats
}

// answered counts a request that is about to be answered.
func (c *counts) answered(r *Request, resp responseContent) {
	if r.builtin() {
		return
	}
	took := time.Since(r.began)
	c.mu.Lock()
	m := c.method(r)
	c.all.Requests++
	c.all.Processing += took
	m.Requests++
	m.Processing += took
	m.Longest = max(m.Longest, took)
	c.mu.Unlock()
	if resp.Error != "" {
		c.erred(r, resp)
	}
}

// erred counts a request that is answered with an error.
func (c *counts) erred(r *Request, resp responseContent) {
	if r.builtin() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all.Errors++
	c.all.LastError = resp.Error
	c.method(r).Errors++
}

func (c *counts) undelivered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all.Undelivered++
}

// method is what is counted of a request's method. c.mu is held.
func (c *counts) method(r *Request) *MethodStats {
	name := r.Method
	if r.s.methods[name] == nil {
		name = ""
	}
	if c.methods == nil {
		c.methods = map[string]*MethodStats{}
	}
	if c.methods[name] == nil {
		c.methods[name] = &MethodStats{}
	}
	return c.methods[name]
}

func (r *Request) builtin() bool {
	return strings.HasPrefix(r.Method, builtin) && r.s.methods[r.Method] != nil
}

// failed counts an error that no caller sees.
func (c *counts) failed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all.Errors++
	c.all.LastError = internalText
}

// Stats gives what the service has counted.
func (s *Service) Stats() Stats {
	s.counts.mu.Lock()
	defer s.counts.mu.Unlock()
	all := s.counts.all
	all.Open = s.open.count()
	all.Methods = map[string]MethodStats{}
	for name, m := range s.counts.methods {
		all.Methods[name] = *m
	}
	return all
}

// names lists the program's own methods.
func (s *Service) names() []string {
	names := slices.Sorted(maps.Keys(s.methods))
	return slices.DeleteFunc(names, func(n string) bool { return strings.HasPrefix(n, builtin) })
}

func (s *Service) addIntrospection() {
	s.methods[PingMethod] = func(context.Context, *Request) (any, error) { return "pong", nil }
	s.methods[InfoMethod] = func(context.Context, *Request) (any, error) {
		return Info{
			ID: s.caller.ID(), PID: os.Getpid(), Started: s.started, Methods: s.names(),
			CatchAll: s.catchAll != nil, Workers: s.workers, Durable: s.durable,
		}, nil
	}
	s.methods[StatsMethod] = func(_ context.Context, r *Request) (any, error) {
		all := s.Stats()
		all.Open-- // this one
		return all, nil
	}
}
