package ipcmgr

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/ipcmgr/ipcmgr/serializer"
)

// Stats counts the messages of one id, over every Connect of it, by peer.
// Asking to terminate counts nowhere.
type Stats struct {
	Sent     map[string]int64 `json:"sent"`               // accepted by the peer's mailbox
	Read     map[string]int64 `json:"read"`               // acknowledged
	Rejected map[string]int64 `json:"rejected,omitempty"` // set aside with Reject
	Corrupt  map[string]int64 `json:"corrupt,omitempty"`  // not messages, or not from whom they claimed
	Dropped  map[string]int64 `json:"dropped,omitempty"`  // unread at Disconnect or Fresh
	Unsure   map[string]int64 `json:"unsure,omitempty"`   // sent with ErrUnsure
	Crashes  int64            `json:"crashes,omitempty"`  // how often the id was taken up after a crash; counts of that time are lost
}

func newStats() Stats {
	return Stats{Sent: map[string]int64{}, Read: map[string]int64{}}
}

func (s *Stats) clone() Stats {
	c := *s
	for _, m := range c.maps() {
		*m = maps.Clone(*m)
	}
	return c
}

func (s *Stats) maps() []*map[string]int64 {
	return []*map[string]int64{&s.Sent, &s.Read, &s.Rejected, &s.Corrupt, &s.Dropped, &s.Unsure}
}

// add sums other into s.
func (s *Stats) add(other *Stats) {
	from := other.maps()
	for n, to := range s.maps() {
		for id, count := range *from[n] {
			inc(to, id, count)
		}
	}
	s.Crashes += other.Crashes
}

func inc(m *map[string]int64, id string, n int64) {
	if *m == nil {
		*m = map[string]int64{}
	}
	(*m)[id] += n
}

// encode writes the statistics in the serializer's form: the object that
// Perl's IPC::Manager reads, with what it does not know beside it.
func (s *Stats) encode(ser serializer.Serializer) ([]byte, error) {
	return ser.AppendContent(nil, s)
}

// decodeStats reads statistics. Perl may write a number as a string; nil data
// is no statistics.
func decodeStats(ser serializer.Serializer, data []byte) (Stats, error) {
	s := newStats()
	if len(data) == 0 {
		return s, nil
	}
	var object map[string]any
	if err := ser.DecodeContent(data, &object); err != nil {
		return s, fmt.Errorf("statistics do not decode: %w", err)
	}
	for n, name := range []string{"sent", "read", "rejected", "corrupt", "dropped", "unsure"} {
		counts, _ := object[name].(map[string]any)
		for id, v := range counts {
			count, ok := asCount(v)
			if !ok {
				return s, fmt.Errorf("statistics: %s of %q is %v, not a count", name, id, v)
			}
			inc(s.maps()[n], id, count)
		}
	}
	s.Crashes, _ = asCount(object["crashes"])
	return s, nil
}

// asCount reads a number in any of the forms in which serializers give it.
func asCount(v any) (int64, bool) {
	switch v := v.(type) {
	case float64:
		return int64(v), v >= 0 && v < 1<<53
	case json.Number:
		n, err := v.Int64()
		return n, err == nil && n >= 0
	case string:
		n, err := strconv.ParseInt(v, 10, 64)
		return n, err == nil && n >= 0
	}
	n, err := strconv.ParseInt(fmt.Sprint(v), 10, 64)
	return n, err == nil && n >= 0
}

// ledger is the statistics of a connected client.
type ledger struct {
	mu sync.Mutex
	s  Stats
	// Most messages are sent to whom the last was sent to, and a map costs more
	// than they do: how many of them s does not have yet.
	to   string
	more int64
}

func (l *ledger) count(pick func(*Stats) *map[string]int64, id string, n int64) {
	if n == 0 {
		return
	}
	l.mu.Lock()
	inc(pick(&l.s), countedAs(id), n)
	l.mu.Unlock()
}

func (l *ledger) sent(to string, n int64) {
	l.mu.Lock()
	if to != l.to {
		l.carry()
		l.to = to
	}
	l.more += n
	l.mu.Unlock()
}

// carry makes s complete. mu is held.
func (l *ledger) carry() {
	if l.more != 0 {
		inc(&l.s.Sent, countedAs(l.to), l.more)
		l.more = 0
	}
}

// read counts what was acknowledged, all at once.
func (l *ledger) read(runs []run) {
	l.mu.Lock()
	defer l.mu.Unlock()
	from, n := "", int64(0)
	for _, r := range runs {
		messages := r.messages()
		for i := range messages {
			m := &messages[i]
			if m.terminate {
				continue
			}
			if m.From != from && n > 0 {
				inc(&l.s.Read, countedAs(from), n)
				n = 0
			}
			from = m.From
			n++
		}
	}
	if n > 0 {
		inc(&l.s.Read, countedAs(from), n)
	}
}

func (l *ledger) snapshot() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.carry()
	return l.s.clone()
}

func rejected(s *Stats) *map[string]int64 { return &s.Rejected }
func corrupt(s *Stats) *map[string]int64  { return &s.Corrupt }
func dropped(s *Stats) *map[string]int64  { return &s.Dropped }
func unsure(s *Stats) *map[string]int64   { return &s.Unsure }

// countsText lists counts by id for an error message.
func countsText(counts map[string]int64) string {
	var parts []string
	for _, id := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d from %q", counts[id], id))
	}
	return strings.Join(parts, ", ")
}
