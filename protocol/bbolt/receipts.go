package bbolt

import (
	"cmp"
	"slices"
)

// A receipt is a word that says which messages were acknowledged: the number of
// the first, and in its last bits how many follow that one. No number is given
// twice, so what it says is true for ever: a receipt that is out of date, or
// that came to disk without others, does no harm.
const runBits = 16

// maxNumber is the last number of a message that a receipt has room for.
const maxNumber = 1<<(64-runBits) - 1

// span is the messages from the first to the last.
type span struct{ first, last uint64 }

func (s span) receipt() uint64 { return s.first<<runBits | (s.last - s.first) }

func readReceipt(w uint64) span {
	first := w >> runBits
	return span{first, first + w&(1<<runBits-1)}
}

// extend adds number n, if that is the next one and a receipt has room for it.
func (s *span) extend(n uint64) bool {
	if n != s.last+1 || n-s.first >= 1<<runBits {
		return false
	}
	s.last = n
	return true
}

func (m *marks) countReceipts() int { return int(min(m.Load(receipts), maxReceipts)) }

// acknowledge writes receipts for messages, which it sorts. Undo takes back
// what it wrote. false: there is no room, and nothing was written. Only the
// mailbox's holder writes receipts, on one goroutine at a time.
func (m *marks) acknowledge(ns []uint64) (undo func(), ok bool) {
	slices.Sort(ns)
	count := m.countReceipts()
	at := max(count-1, 0) // the first one that is written: the last there is, if there is one
	old := m.Load(firstReceipt + at)
	var fresh []span
	if count > 0 {
		fresh = append(fresh, readReceipt(old))
	}
	for _, n := range ns {
		if len(fresh) == 0 || !fresh[len(fresh)-1].extend(n) {
			fresh = append(fresh, span{n, n})
		}
	}
	if at+len(fresh) > maxReceipts {
		return nil, false
	}
	for i, s := range fresh {
		m.Store(firstReceipt+at+i, s.receipt())
	}
	m.Store(receipts, uint64(at+len(fresh)))
	return func() {
		m.Store(receipts, uint64(count))
		m.Store(firstReceipt+at, old)
	}, true
}

// given is the last number that was given, of which the file knows those up to
// last. A power cut may have taken a message from the file, and not what is said
// of it here, which must not be said of another one.
func (m *marks) given(last uint64) uint64 {
	n := max(last, m.Load(handed), m.Load(doubted))
	for i := range m.countReceipts() {
		n = max(n, readReceipt(m.Load(firstReceipt+i)).last)
	}
	if n-last > maxNumber/1000 { // no number: the words are damaged
		return last
	}
	return n
}

// acknowledged are the messages that have receipts, in order.
func (m *marks) acknowledged() (all spans) {
	count := m.countReceipts()
	for i := range count {
		all = append(all, readReceipt(m.Load(firstReceipt+i)))
	}
	return all.merge()
}

// spans are in order, and no two of them touch.
type spans []span

// merge makes spans of what is in any order.
func (all spans) merge() spans {
	slices.SortFunc(all, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	merged := all[:0]
	for _, s := range all {
		if n := len(merged); n > 0 && s.first <= merged[n-1].last+1 {
			merged[n-1].last = max(merged[n-1].last, s.last)
			continue
		}
		merged = append(merged, s)
	}
	return merged
}

// have says whether message n is among them.
func (all spans) have(n uint64) bool {
	_, found := slices.BinarySearchFunc(all, n, func(s span, n uint64) int {
		switch {
		case s.last < n:
			return -1
		case s.first > n:
			return 1
		}
		return 0
	})
	return found
}
