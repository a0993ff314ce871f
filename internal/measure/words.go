package measure

import "strings"

// wordsKept is how much is kept of what a process says on standard error.
const wordsKept = 4 << 10

// words are the last that a process has said there. They are read when it has
// ended.
type words struct{ last []byte }

func (w *words) Write(b []byte) (int, error) {
	w.last = append(w.last, b...)
	if more := len(w.last) - wordsKept; more > 0 {
		w.last = w.last[:copy(w.last, w.last[more:])]
	}
	return len(b), nil
}

// String gives them as one line.
func (w *words) String() string { return oneLine(string(w.last)) }

func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
