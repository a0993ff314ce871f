package service

import (
	"context"
	"fmt"
	"reflect"
	"strconv"
)

// Code says what kind of error a service answered with. It is an error itself,
// to be matched with errors.Is; a service may define further ones.
type Code string

// The codes that the package itself gives. A Perl service gives none.
const (
	NoMethod   Code = "no_method"   // the service has no such method, and no catch-all
	BadRequest Code = "bad_request" // the arguments do not decode into what the method takes
	Internal   Code = "internal"    // the handler failed
	TimedOut   Code = "timed_out"   // the deadline of the request ended the handler
	Ending     Code = "ending"      // the service ended before it had an answer
)

func (c Code) Error() string { return string(c) }

// Error is an error that a handler means its caller to see, with its text,
// whatever the service hides otherwise.
type Error struct {
	Code Code
	Text string
}

// Errorf makes an Error. A verb %w is not for it: what is wrapped does not
// travel.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Text: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string { return e.Text }

// Is says whether the target is the error's Code.
func (e *Error) Is(target error) bool { return target == e.Code }

// RemoteError is what a service answered instead of a value.
type RemoteError struct {
	Service string
	Method  string // "" for a raw request
	Code    Code   // "" from a Perl service
	Text    string
}

func (e *RemoteError) Error() string { return describe(e.Service, e.Method) + ": " + e.Text }

// Is matches the code, and context.DeadlineExceeded for TimedOut.
func (e *RemoteError) Is(target error) bool {
	return target == e.Code && e.Code != "" || target == context.DeadlineExceeded && e.Code == TimedOut
}

// answerError says that an answer is not what the caller wants.
type answerError struct {
	wanted reflect.Type
	err    error
}

func (e *answerError) Error() string {
	return fmt.Sprintf("the answer is no %v: %s", e.wanted, misfit(e.err, "response"))
}

func (e *answerError) Unwrap() error { return e.err }

func describe(service, method string) string {
	if method == "" {
		return "request to " + strconv.Quote(service)
	}
	return "call of " + method + " at " + strconv.Quote(service)
}

type sentinel string

func (s sentinel) Error() string { return string(s) }

// ErrAnswered says that a request had its one response already.
const ErrAnswered = sentinel("the request is answered already")

// internalText is what a caller learns of an error that is not meant for it.
const internalText = "Internal service error"
