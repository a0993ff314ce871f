package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// drawEvery is how often the bar is drawn at most.
const drawEvery = 100 * time.Millisecond

// progress is a bar on the last line of a terminal; nothing elsewhere. It is
// used by one goroutine at a time.
type progress struct {
	out   io.Writer
	tty   *os.File // nil: out is no terminal
	drawn time.Time
	shown bool

	started time.Time
	files   int
	bytes   int64
}

func newProgress(out io.Writer) *progress {
	p := &progress{out: out, started: time.Now()}
	if f, ok := out.(*os.File); ok && terminalWidth(f) > 0 {
		p.tty = f
	}
	return p
}

// found shows how many files there are so far.
func (p *progress) found(files int) {
	p.draw(func(int) string { return fmt.Sprintf("looking for files: %d", files) })
}

// begin says how much there is to do.
func (p *progress) begin(files int, bytes int64) {
	p.files, p.bytes = files, bytes
	p.done(0, 0)
}

// done shows how much of it is done.
func (p *progress) done(files int, bytes int64) {
	p.draw(func(width int) string {
		share := float64(files) / float64(max(p.files, 1))
		if p.bytes > 0 { // bytes take the time, but empty files are files too
			share = (share + float64(bytes)/float64(p.bytes)) / 2
		}
		return p.bar(width, share, fmt.Sprintf("%d/%d files  %s/%s", files, p.files, size(bytes), size(p.bytes)))
	})
}

// step shows what is being done, and how many steps were before it.
func (p *progress) step(done, steps int, what string) {
	p.draw(func(width int) string { return p.bar(width, float64(done)/float64(steps), what) })
}

// bar is a line that shows a share of the work, what it is, and since when.
func (p *progress) bar(width int, share float64, what string) string {
	text := fmt.Sprintf(" %3.0f%%  %s  %s", 100*share, what, time.Since(p.started).Round(100*time.Millisecond))
	room := min(width-len(text)-3, 40)
	if room < 4 {
		return text
	}
	full := int(share * float64(room))
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", room-full) + "]" + text
}

// draw replaces the line, unless it was drawn just now.
func (p *progress) draw(line func(width int) string) {
	if p.tty == nil || time.Since(p.drawn) < drawEvery {
		return
	}
	p.drawn, p.shown = time.Now(), true
	width := terminalWidth(p.tty)
	text := line(width)
	fmt.Fprint(p.out, "\r\x1b[K"+text[:min(len(text), max(width-1, 0))])
}

// clear takes the bar away.
func (p *progress) clear() {
	if p.shown {
		p.shown = false
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}

// say prints a line of its own above the bar.
func (p *progress) say(line string) {
	p.clear()
	fmt.Fprintln(p.out, line)
	p.drawn = time.Time{}
}
