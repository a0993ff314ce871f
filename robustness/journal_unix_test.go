//go:build unix

package robustness

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// A journal is what one client has done, over all its lives: a line for each
// event, written before the client goes on to what depends on it. So what it
// says has happened, whenever the process is killed.
//
//	begin LIFE TO FIRST COUNT TIME       messages are about to be sent
//	end LIFE TO ACCEPTED VERDICT TIME    what became of them
//	up LIFE TIME                         connected, before anything is received
//	got LIFE FROM LIFE SEQ MARK          received, before it is acknowledged
//	acked LIFE FROM LIFE SEQ             acknowledged, on record
//	rest LIFE TIME                       about to leave and return
//
// A line that a kill has cut short lacks the dot at its end, and so never was.
type journal struct {
	f    *os.File
	mu   sync.Mutex
	late []byte // lines that are written with the next
}

// Verdicts of an end line.
const (
	accepted = "accepted" // the first ACCEPTED of them; the others will not arrive
	unsure   = "unsure"   // the others may
)

func journalOf(dir, id string) string { return filepath.Join(dir, id+".journal") }

func openJournal(dir, id string) (*journal, error) {
	f, err := os.OpenFile(journalOf(dir, id), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	// Ends the line that an earlier life may have left unfinished.
	_, err = f.WriteString("\n")
	return &journal{f: f}, err
}

// note is write for what need not be there before the next line is: it spares
// a call.
func (j *journal) note(event string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.late = append(append(j.late, event...), ' ')
	j.late = fmt.Append(j.late, strings.TrimSuffix(fmt.Sprintln(args...), "\n"), " .\n")
}

func (j *journal) write(event string, args ...any) error {
	j.note(event, args...)
	return j.flush()
}

func (j *journal) flush() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.late) == 0 {
		return nil
	}
	_, err := j.f.Write(j.late)
	j.late = j.late[:0]
	return err
}

// now is a time that all processes of the machine agree on, in nanoseconds.
func now() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err)
	}
	return t.Nano()
}

// journalReader reads a journal while it is written.
type journalReader struct {
	path string
	at   int64
}

// next gives the lines that were finished since it was last called, as fields.
func (r *journalReader) next() ([][]string, error) {
	f, err := os.Open(r.path)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.NewSectionReader(f, r.at, 1<<40))
	if err != nil {
		return nil, err
	}
	whole := bytes.LastIndexByte(data, '\n') + 1
	r.at += int64(whole)
	var lines [][]string
	for line := range strings.Lines(string(data[:whole])) {
		fields := strings.Fields(line)
		if n := len(fields); n > 1 && fields[n-1] == "." {
			lines = append(lines, fields[:n-1])
		}
	}
	return lines, nil
}
