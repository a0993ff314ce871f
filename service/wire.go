package service

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ipcmgr/ipcmgr"
)

// A request is the content {"ipcm_request_id": id, "request": R}, its response
// {"ipcm_response_id": id, "response": V}, and on an error also "ipcm_error",
// the text, with a response of null: what Perl's IPC::Manager sends and
// understands. A call of a method has an R of {"method": M, "args": A}, so that
// a Perl program can make one too. Our errors carry "ipcm_code" besides.

type requestContent struct {
	ID      string `json:"ipcm_request_id"`
	Request any    `json:"request"`
}

type methodCall struct {
	Method string `json:"method"`
	Args   any    `json:"args"`
}

type responseContent struct {
	ID       string `json:"ipcm_response_id"`
	Response any    `json:"response"`
	Error    string `json:"ipcm_error,omitempty"`
	Code     Code   `json:"ipcm_code,omitempty"`
}

// These read what their namesakes write. T is what the program wants.
type (
	wholeRequest[T any] struct {
		Request T `json:"request"`
	}
	argsOf[T any] struct {
		Request struct {
			Args T `json:"args"`
		} `json:"request"`
	}
	responseOf[T any] struct {
		Response T `json:"response"`
	}
)

// misfit says why content did not decode into one of these, for a program that
// knows only the T it wants, which is under the key. What the error says of the
// rest is nobody's business.
func misfit(err error, key string) string {
	var field *json.UnmarshalTypeError
	if errors.As(err, &field) {
		text := fmt.Sprintf("%s does not fit %v", field.Value, field.Type)
		if path := strings.TrimPrefix(strings.TrimPrefix(field.Field, key), "."); path != "" {
			text = path + ": " + text
		}
		return text
	}
	for range 2 { // by the message, and by the serializer
		if why := errors.Unwrap(err); why != nil {
			err = why
		}
	}
	return strings.TrimPrefix(err.Error(), key+": ")
}

// head is what tells a request, a response and any other message apart. Both
// ids are empty for the last.
type head struct {
	RequestID  string
	ResponseID string
	Method     string // of a request; "" when it is not a call of a method
	Error      any    // of a response; nil when it is none
	Code       Code
}

// marker is in the content of every request and response.
var marker = []byte("ipcm_re")

// headOf looks for the marker before it decodes: most messages of a client
// that also takes part in other talk have it nowhere.
func headOf(m *ipcmgr.Message) head {
	content, err := m.Content()
	if err != nil || !bytes.Contains(content, marker) {
		return head{}
	}
	var h struct {
		RequestID  string `json:"ipcm_request_id"`
		ResponseID string `json:"ipcm_response_id"`
		Error      any    `json:"ipcm_error"`
		Code       Code   `json:"ipcm_code"`
	}
	var call struct {
		ID      string `json:"ipcm_request_id"`
		Request struct {
			Method string `json:"method"`
		} `json:"request"`
	}
	if m.Decode(&call) == nil && call.ID != "" {
		return head{RequestID: call.ID, Method: call.Request.Method}
	}
	if m.Decode(&h) != nil {
		return head{}
	}
	if h.RequestID != "" { // its request is no object
		return head{RequestID: h.RequestID}
	}
	return head{ResponseID: h.ResponseID, Error: h.Error, Code: h.Code}
}

// The headers of a request. Perl neither sends nor sees them.
const (
	headerDeadline = "ipcm-deadline" // microseconds since the epoch
	headerParent   = "traceparent"
	headerState    = "tracestate"
)

// headersFor is what of a caller's context travels with its request.
func headersFor(ctx context.Context) map[string]string {
	t := TraceOf(ctx)
	deadline, limited := ctx.Deadline()
	if !limited && t == (Trace{}) {
		return nil
	}
	h := map[string]string{}
	if limited {
		h[headerDeadline] = strconv.FormatInt(deadline.UnixMicro(), 10)
	}
	if t.Parent != "" {
		h[headerParent] = t.Parent
	}
	if t.State != "" {
		h[headerState] = t.State
	}
	return h
}

// deadlineOf is the deadline that a request carries, or zero.
func deadlineOf(m *ipcmgr.Message) time.Time {
	micros, err := strconv.ParseInt(m.Headers[headerDeadline], 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMicro(micros)
}
