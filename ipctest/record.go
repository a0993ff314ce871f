package ipctest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipcmgr/ipcmgr"
)

// Record records the traffic of the clients that Connect and Worker.Start make
// from now on, in all processes. If the test fails, it is written to one file,
// a JSON line for each message sent and each received, ordered by time, and the
// test's log says where: in the directory of the test's artifacts with
// -artifacts, otherwise in that for temporary files.
//
// It is written as it happens, so that what a killed worker did is there too,
// except perhaps its last send.
// The content of a message built with NewMessage appears where it is received.
func Record(t testing.TB, st *ipcmgr.Store) {
	t.Helper()
	s := sceneOf(t, st)
	if s.recording != nil {
		return
	}
	dir, err := os.MkdirTemp("", "ipctest")
	if err != nil {
		t.Fatalf("ipctest: record: %v", err)
	}
	s.recording = &recording{dir: dir}
}

// recording is a directory with a file for each client that is recorded.
type recording struct {
	dir   string
	mu    sync.Mutex
	files []*os.File
	err   error // of a client that could not be recorded
}

// entry is a line of a recording.
type entry struct {
	Time        time.Time         `json:"time"`
	What        string            `json:"what"` // sent, received
	Client      string            `json:"client"`
	PID         int               `json:"pid"`
	From        string            `json:"from"`
	To          string            `json:"to"`
	ID          string            `json:"id,omitempty"`
	Headers     map[string]string `json:"headers,omitempty"`
	Broadcast   bool              `json:"broadcast,omitempty"`
	Redelivered bool              `json:"redelivered,omitempty"`
	Content     any               `json:"content,omitempty"`
	Error       string            `json:"error,omitempty"` // why it was not sent
}

// record gives the client that records, if there is a recording.
func (s *scene) record(c ipcmgr.Client) ipcmgr.Client {
	r := s.recording
	if r == nil {
		return c
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	f, err := createTape(r.dir)
	if err != nil {
		r.err = err
		return c
	}
	r.files = append(r.files, f)
	return newRecorder(c, f)
}

// recordInWorker does so in a worker's process, if it was told to.
func recordInWorker(c ipcmgr.Client) (_ ipcmgr.Client, done func(), err error) {
	dir := recordingDir()
	if dir == "" {
		return c, func() {}, nil
	}
	f, err := createTape(dir)
	if err != nil {
		return nil, nil, err
	}
	return newRecorder(c, f), func() { f.Close() }, nil
}

func createTape(dir string) (*os.File, error) {
	return os.CreateTemp(dir, fmt.Sprintf("%d-*.jsonl", os.Getpid()))
}

// close closes the files, before descriptors are counted.
func (r *recording) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.files {
		f.Close()
	}
	r.files = nil
}

// finishRecording keeps the recording of a test that failed.
func (s *scene) finishRecording(t testing.TB) {
	t.Helper()
	r := s.recording
	if r == nil {
		return
	}
	r.close()
	defer os.RemoveAll(r.dir)
	if !t.Failed() {
		return
	}
	path, n, err := r.merge(t)
	if err = errors.Join(r.err, err); err != nil {
		t.Logf("ipctest: the recording is not complete: %v", err)
	}
	if path != "" {
		t.Logf("ipctest: %d messages sent and received are in %s", n, path)
	}
}

// merge writes all entries to one file.
func (r *recording) merge(t testing.TB) (path string, n int, err error) {
	tapes, err := filepath.Glob(filepath.Join(r.dir, "*.jsonl"))
	if err != nil {
		return "", 0, err
	}
	type line struct {
		time time.Time
		text []byte
	}
	var lines []line
	var errs []error
	for _, tape := range tapes {
		data, err := os.ReadFile(tape)
		errs = append(errs, err)
		for text := range bytes.Lines(data) {
			var e struct{ Time time.Time }
			if json.Unmarshal(text, &e) == nil { // the last line of one that was killed may be torn
				lines = append(lines, line{e.Time, text})
			}
		}
	}
	slices.SortStableFunc(lines, func(a, b line) int { return a.time.Compare(b.time) })
	name := strings.NewReplacer("/", "-", "\\", "-", " ", "_", "*", "_").Replace(t.Name())
	f, err := os.CreateTemp(keepIn(t), name+"-*.jsonl")
	if err != nil {
		return "", 0, errors.Join(append(errs, err)...)
	}
	var all bytes.Buffer
	for _, l := range lines {
		all.Write(l.text)
	}
	_, err = f.Write(all.Bytes())
	return f.Name(), len(lines), errors.Join(append(errs, err, f.Close())...)
}

// keepIn is the directory for recordings; "" is that for temporary files.
func keepIn(t testing.TB) string {
	if f := flag.Lookup("test.artifacts"); f != nil && f.Value.String() == "true" {
		return t.ArtifactDir()
	}
	return ""
}

// recorder is a client that writes down what it sends and receives.
type recorder struct {
	view
	mu   sync.Mutex
	f    *os.File
	seen map[string]bool // ids of messages received: one that is put back is no new one
}

func newRecorder(c ipcmgr.Client, f *os.File) *recorder {
	r := &recorder{f: f, seen: map[string]bool{}}
	r.view = view{c, r.received}
	return r
}

func (r *recorder) write(e entry) {
	e.Client, e.PID = r.ID(), os.Getpid()
	text, err := json.Marshal(e)
	if err != nil { // a content that JSON does not have
		e.Content = fmt.Sprint(e.Content)
		text, _ = json.Marshal(e)
	}
	_, _ = r.f.Write(append(text, '\n')) // a recording does not fail a test
}

func (r *recorder) received(m *ipcmgr.Message) {
	r.mu.Lock()
	old := r.seen[m.ID]
	r.seen[m.ID] = true
	r.mu.Unlock()
	if old {
		return
	}
	r.write(entry{
		Time: time.Now(), What: "received", From: m.From, To: m.To, ID: m.ID, Headers: m.Headers,
		Broadcast: m.Broadcast, Redelivered: m.Redelivered, Content: contentOf(m),
	})
}

// sent writes down a message with the time before it was sent, which is before
// anyone received it.
func (r *recorder) sent(began time.Time, to string, content any, err error) {
	e := entry{Time: began, What: "sent", From: r.ID(), To: to, Content: content}
	if m, ok := content.(*ipcmgr.Message); ok {
		e.ID, e.Headers, e.Content = m.ID, m.Headers, contentOf(m)
	}
	if err != nil {
		e.Error = err.Error()
	}
	r.write(e)
}

func contentOf(m *ipcmgr.Message) any {
	var v any
	_ = m.Decode(&v) // it fails for what is not received yet
	return v
}

func (r *recorder) Send(ctx context.Context, to string, content any) error {
	began := time.Now()
	err := r.view.Send(ctx, to, content)
	r.sent(began, to, content, err)
	return err
}

func (r *recorder) TrySend(ctx context.Context, to string, content any) error {
	began := time.Now()
	err := r.view.TrySend(ctx, to, content)
	r.sent(began, to, content, err)
	return err
}

func (r *recorder) SendBatch(ctx context.Context, to string, contents ...any) (int, error) {
	began := time.Now()
	n, err := r.view.SendBatch(ctx, to, contents...)
	for i, content := range contents {
		if i < n {
			r.sent(began, to, content, nil)
		} else {
			r.sent(began, to, content, err)
		}
	}
	return n, err
}

func (r *recorder) Broadcast(ctx context.Context, content any) (ipcmgr.Results, error) {
	began := time.Now()
	results, err := r.view.Broadcast(ctx, content)
	for to, err := range results {
		r.sent(began, to, content, err)
	}
	return results, err
}
