package fsqueue

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"strconv"
	"strings"
	"sync"

	"github.com/ipcmgr/ipcmgr/internal/disk"
)

const (
	ledgerFile = "ledger"
	ledgerMax  = 64 << 20 // bytes read of one that is found
	ledgerSlim = 64 << 10 // bytes below which it is not written anew
)

// ledger is what the mailbox has on record about its files beyond their being
// there, for a later holder: a line for each fact, appended.
//
//	handed FILE N    the first N messages of the file may have been handed out
//	back FILE N      message N was put back
//	acked FILE N…    messages N… of a file with more of them are acknowledged
//
// A file without its record is new. Lines about a file that is not there, and
// lines that are not whole, mean nothing: a number that is cut is another one.
type ledger struct {
	box, draft disk.Dir
	sync       bool

	mu      sync.Mutex
	file    disk.File
	size    int
	torn    bool // the last append failed, and may have left a part of a line
	named   bool // its name is on disk
	records map[string]record
	lines   []byte // room for what is appended
}

// record is what the ledger says about one file.
type record struct {
	handed int
	back   map[int]bool
	acked  map[int]bool
}

func (r *record) again(i int) bool { return r != nil && (i < r.handed || r.back[i]) }

// openLedger reads the ledger in box and begins it anew with what it says about
// the files that exist. damage is what could not be read of it.
func openLedger(box, draft disk.Dir, sync bool, exists func(name string) bool) (l *ledger, damage, err error) {
	l = &ledger{box: box, draft: draft, sync: sync, records: map[string]record{}}
	data, err := disk.ReadFile(box, ledgerFile, ledgerMax)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case errors.Is(err, disk.ErrTooLarge), errors.Is(err, disk.ErrNotRegular):
		damage = fmt.Errorf("the ledger is unusable, what was handed out is not known: %w", err)
	case err != nil:
		return nil, nil, err
	default:
		l.records = parseLedger(data)
	}
	for name := range l.records {
		if !exists(name) {
			delete(l.records, name)
		}
	}
	return l, damage, l.rewrite()
}

// parseLedger reads what a ledger says, and skips what it cannot say.
func parseLedger(data []byte) map[string]record {
	records := map[string]record{}
	for line := range bytes.Lines(data) {
		// A last line without its end may be a part of a longer number.
		if line[len(line)-1] != '\n' {
			break
		}
		words := strings.Fields(string(line))
		if len(words) < 3 {
			continue
		}
		l, err := parseLabel(words[1])
		if err != nil {
			continue
		}
		ns := make([]int, len(words)-2)
		for i, word := range words[2:] {
			ns[i], err = strconv.Atoi(word)
			if err != nil || ns[i] < 0 || ns[i] > l.count {
				ns = nil
				break
			}
		}
		r := records[l.name]
		for _, n := range ns {
			if r.note(words[0], n) {
				records[l.name] = r
			}
		}
	}
	return records
}

// note takes one fact and says whether it is one.
func (r *record) note(fact string, n int) bool {
	switch fact {
	case "handed":
		r.handed = max(r.handed, n)
	case "back":
		r.back = with(r.back, n)
	case "acked":
		r.acked = with(r.acked, n)
	default:
		return false
	}
	return true
}

func with(set map[int]bool, n int) map[int]bool {
	if set == nil {
		set = map[int]bool{}
	}
	set[n] = true
	return set
}

// find gives what is on record about a file, or nil. It is a copy.
func (l *ledger) find(name string) *record {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, ok := l.records[name]
	if !ok {
		return nil
	}
	return &record{handed: r.handed, back: maps.Clone(r.back), acked: maps.Clone(r.acked)}
}

// handed records that the first taken messages of each letter are handed out.
func (l *ledger) handed(letters []*letter) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = l.lines[:0]
	for _, m := range letters {
		l.lines = appendLine(l.lines, "handed", m.name, m.taken)
		r := l.records[m.name]
		r.handed = max(r.handed, m.taken)
		l.records[m.name] = r
	}
	return l.append(l.lines)
}

// acked records that messages of a file are acknowledged.
func (l *ledger) acked(name string, messages []int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = appendLine(l.lines[:0], "acked", name, messages...)
	if err := l.append(l.lines); err != nil {
		return err
	}
	r := l.records[name]
	for _, i := range messages {
		r.acked = with(r.acked, i)
	}
	l.records[name] = r
	return nil
}

// flush puts what is recorded on disk.
func (l *ledger) flush() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil // written whole, and synced, by rewrite
	}
	if err := l.file.Sync(); err != nil || l.named {
		return err
	}
	err := l.box.Sync()
	l.named = err == nil
	return err
}

// forget drops what is on record about a file that is no more.
func (l *ledger) forget(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.records, name)
}

// suspend leaves on record what is put back, what is acknowledged, and what an
// earlier holder had in hand: read has what was on record about each file when
// this holder read it, and about those that it never read nothing has changed.
func (l *ledger) suspend(back map[string][]int, read map[string]*record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, before := range read {
		r := record{acked: l.records[name].acked}
		if before != nil {
			r.handed, r.back = before.handed, before.back
		}
		l.records[name] = r
	}
	for name, messages := range back {
		r := l.records[name]
		for _, i := range messages {
			r.back = with(r.back, i)
		}
		l.records[name] = r
	}
	return l.rewrite()
}

// append adds lines. When the ledger has grown far beyond what is still true,
// it is written anew instead.
func (l *ledger) append(lines []byte) error {
	if l.size > ledgerSlim && l.size > 256*len(l.records) {
		if err := l.rewrite(); err != nil {
			return err
		}
	}
	if l.file == nil {
		f, err := l.box.Append(ledgerFile)
		if err != nil {
			return err
		}
		l.file = f
	}
	if l.torn {
		// Not the end of the line alone: what is there of it might be a fact.
		lines = append([]byte("torn\n"), lines...)
	}
	_, err := l.file.Write(lines)
	l.torn = err != nil
	l.size += len(lines)
	return err
}

// rewrite begins the ledger anew with what is true.
func (l *ledger) rewrite() error {
	var b []byte
	for name, r := range l.records {
		if r.handed > 0 {
			b = appendLine(b, "handed", name, r.handed)
		}
		for i := range r.back {
			b = appendLine(b, "back", name, i)
		}
		for i := range r.acked {
			b = appendLine(b, "acked", name, i)
		}
	}
	// One that is neither there nor needed is not made.
	if _, err := l.box.Stat(ledgerFile); len(b) == 0 && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	err := disk.WriteFile(l.box, l.draft, ledgerFile, b, l.sync)
	if err == nil || errors.Is(err, disk.ErrUnsynced) {
		// It is another file now: what is appended to the old one is lost.
		l.close()
		l.size, l.torn = len(b), false
	}
	if err != nil {
		return fmt.Errorf("write the ledger: %w", err)
	}
	l.named = l.sync
	return nil
}

func (l *ledger) close() {
	if l.file != nil {
		l.file.Close()
		l.file = nil
	}
}

func appendLine(b []byte, fact, name string, ns ...int) []byte {
	b = append(b, fact...)
	b = append(b, ' ')
	b = append(b, name...)
	for _, n := range ns {
		b = append(b, ' ')
		b = strconv.AppendInt(b, int64(n), 10)
	}
	return append(b, '\n')
}
