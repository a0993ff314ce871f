package proc

import (
	"bytes"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
)

// Lines gives each line that the child writes to its standard output and error
// to f, with the child's id and without the newline. Children that are started
// with the same Option value take turns in f. A line of more than 64 KiB comes
// in pieces. What cmd.Stdout and cmd.Stderr name gets the output as well.
func Lines(f func(id, line string)) Option {
	var mu sync.Mutex
	return func(o *options) {
		o.line = func(id, line string) {
			mu.Lock()
			defer mu.Unlock()
			f(id, line)
		}
	}
}

// LinesTo writes them to w, with the child's name before each: "w1: ready\n".
// Each line is one Write, whose error is ignored: a child does not end because
// nobody listens.
func LinesTo(w io.Writer) Option {
	return Lines(func(id, line string) { _, _ = io.WriteString(w, id+": "+line+"\n") })
}

// listen has the child's output read, where that is asked for, and its standard
// error in any case, for the last lines of it; but not if that is a file: the
// child writes to it by itself, and may ask whether it is a terminal.
func (c *Child) listen(line func(id, line string)) {
	both := sameWriter(c.cmd.Stdout, c.cmd.Stderr)
	split := func() []io.Writer {
		if line == nil {
			return nil
		}
		l := &lines{f: func(text string) { line(c.id, text) }}
		c.lines = append(c.lines, l)
		return []io.Writer{l}
	}
	if _, isFile := c.cmd.Stderr.(*os.File); !isFile || line != nil {
		// The tail comes first: a line that was told is among the last words.
		c.tail = new(tail)
		c.cmd.Stderr = tee(c.cmd.Stderr, append([]io.Writer{c.tail}, split()...)...)
	}
	if both && c.cmd.Stdout != nil {
		c.cmd.Stdout = c.cmd.Stderr // one pipe, so that the order stays
	} else if line != nil {
		c.cmd.Stdout = tee(c.cmd.Stdout, split()...)
	}
}

func sameWriter(a, b io.Writer) (same bool) {
	defer func() { _ = recover() }() // a writer that cannot be compared is not the same
	return a == b
}

// tee writes to ours and then to theirs, which may be nil, and may fail.
func tee(theirs io.Writer, ours ...io.Writer) io.Writer {
	if theirs != nil {
		ours = append(ours, theirs)
	}
	return io.MultiWriter(ours...)
}

// maxLine is how many bytes a line may have.
const maxLine = 64 << 10

// lines cuts what is written to it into lines. One goroutine writes.
type lines struct {
	f    func(line string)
	rest []byte
}

func (l *lines) Write(p []byte) (int, error) {
	n := len(p)
	for {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			l.add(p)
			return n, nil
		}
		l.add(p[:end])
		l.give()
		p = p[end+1:]
	}
}

// add adds to the line under way.
func (l *lines) add(p []byte) {
	for len(l.rest)+len(p) > maxLine {
		room := maxLine - len(l.rest)
		l.rest = append(l.rest, p[:room]...)
		l.give()
		p = p[room:]
	}
	l.rest = append(l.rest, p...)
}

func (l *lines) give() {
	l.f(string(bytes.TrimSuffix(l.rest, []byte("\r"))))
	l.rest = l.rest[:0]
}

func (l *lines) flush() {
	if len(l.rest) > 0 {
		l.give()
	}
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

const (
	tailBytes = 16 << 10 // kept
	tailLines = 10       // shown
)

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p[max(0, len(p)-tailBytes):]...)
	if over := len(t.kept) - tailBytes; over > 0 {
		t.kept = slices.Delete(t.kept, 0, over)
	}
	return len(p), nil
}

// String gives the last lines; or, when Go's runtime wrote them, the first of
// what it wrote: they say why.
func (t *tail) String() string {
	if t == nil {
		return ""
	}
	t.mu.Lock()
	text := strings.ToValidUTF8(strings.TrimSpace(string(t.kept)), "\uFFFD")
	t.mu.Unlock()
	all := strings.Split(text, "\n")
	from := max(0, len(all)-tailLines)
	for n, line := range all {
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			from = n
			break
		}
	}
	return strings.Join(all[from:min(from+tailLines, len(all))], "\n")
}
