package ipcmgr

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// Audit compares what each client sent to each other with what became of it.
type Audit struct {
	Pairs []Pair // ordered by From and To
}

// Pair is the account of the messages of one client to one other.
type Pair struct {
	From     string  `json:"from"`
	To       string  `json:"to"`
	Sent     int64   `json:"sent"`     // as From counted
	Read     int64   `json:"read"`     // as To counted, like the following
	Rejected int64   `json:"rejected"` // set aside with Reject
	Corrupt  int64   `json:"corrupt"`  // not accepted as messages
	Dropped  int64   `json:"dropped"`  // unread when To disconnected
	Verdict  Verdict `json:"verdict"`
	Reason   string  `json:"reason,omitempty"` // why it is unknown
}

// Verdict is what an audit says of one pair.
type Verdict string

// The verdicts. Dropped and Unknown make an audit fail.
const (
	Equal   Verdict = "equal"   // all that was sent was read or set aside
	Unread  Verdict = "unread"  // the rest is still in the mailbox
	Dropped Verdict = "dropped" // some of it is gone, unread
	Unknown Verdict = "unknown" // one of the two crashed, or is still at it, or what its mailbox keeps is not known
)

// Failed says whether the pair makes the audit fail.
func (p *Pair) Failed() bool { return p.Verdict == Dropped || p.Verdict == Unknown }

func (p *Pair) String() string {
	s := fmt.Sprintf("%q to %q: %s: %d sent, %d read", p.From, p.To, p.Verdict, p.Sent, p.Read)
	for _, part := range []struct {
		n    int64
		what string
	}{{p.Rejected, "rejected"}, {p.Corrupt, "corrupt"}, {p.Dropped, "dropped"}} {
		if part.n > 0 {
			s += fmt.Sprintf(", %d %s", part.n, part.what)
		}
	}
	if p.Reason != "" {
		s += " (" + p.Reason + ")"
	}
	return s
}

// AuditError lists the pairs for which an audit failed.
type AuditError struct{ Pairs []Pair }

func (e *AuditError) Error() string {
	lines := make([]string, len(e.Pairs))
	for n := range e.Pairs {
		lines[n] = e.Pairs[n].String()
	}
	return "audit: " + strings.Join(lines, "; ")
}

// Err is nil, or an *AuditError with the pairs that failed.
func (a *Audit) Err() error {
	var failed []Pair
	for _, p := range a.Pairs {
		if p.Failed() {
			failed = append(failed, p)
		}
	}
	if failed == nil {
		return nil
	}
	return &AuditError{Pairs: failed}
}

// last is Err when the store is about to go, with all that is unread in it.
func (a *Audit) last() error {
	for n := range a.Pairs {
		p := &a.Pairs[n]
		if rest := p.rest(); rest > 0 && p.Verdict != Unknown {
			p.Verdict, p.Dropped = Dropped, p.Dropped+rest
		}
	}
	return a.Err()
}

// rest is how many messages nothing is known of: beyond these, corrupt ones were
// forged, and nobody sent them.
func (p *Pair) rest() int64 {
	n := p.Sent - p.Read - p.Rejected - p.Dropped
	return n - min(p.Corrupt, max(n, 0))
}

// Stats gives the statistics of every id that was ever a client of the store,
// as each last wrote them: at Disconnect, Suspend and WriteStats. Those of the
// anonymous clients are one, under "_cli".
func (s *Store) Stats(ctx context.Context) (map[string]Stats, error) {
	all, torn, err := s.statistics(ctx)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, id := range slices.Sorted(maps.Keys(torn)) {
		errs = append(errs, &Error{Op: "statistics", Store: s.info.Redacted(), Peer: id, Err: torn[id]})
	}
	return all, errors.Join(errs...)
}

// statistics reads those of all ids, and says whose do not decode: they are
// torn by a power cut, or somebody's rubbish.
func (s *Store) statistics(ctx context.Context) (all map[string]Stats, torn map[string]error, err error) {
	encoded, err := s.handle.Stats(ctx)
	if err != nil {
		return nil, nil, s.wrap("statistics", err)
	}
	delete(encoded, protocol.Guard)
	all, torn = make(map[string]Stats, len(encoded)), map[string]error{}
	for id, data := range encoded {
		one, err := decodeStats(s.ser, data)
		if err != nil {
			torn[countedAs(id)] = err
			continue
		}
		if sum, more := all[countedAs(id)]; more { // of anonymous clients
			one.add(&sum)
		}
		all[countedAs(id)] = one
	}
	return all, torn, nil
}

// Audit compares the statistics of all clients, pair by pair, after writing
// those of this process's own. What clients in other processes have counted
// since they last wrote theirs is not in it, nor what does not decode, nor how
// much a mailbox keeps that another process holds on to, stopped: those pairs
// are Unknown.
func (s *Store) Audit(ctx context.Context) (*Audit, error) {
	for _, c := range local.of(s.info) {
		if err := c.WriteStats(ctx); err != nil && !errors.Is(err, ErrClosed) {
			return nil, err
		}
	}
	stats, torn, err := s.statistics(ctx)
	if err != nil {
		return nil, err
	}
	peers, _, err := s.peers(ctx)
	if err != nil {
		return nil, s.wrap("audit", err)
	}
	a := auditor{
		stats: stats, torn: torn, hidden: map[string]bool{},
		states: map[string]State{}, kept: map[string]int64{}, loses: !s.Features().Redelivers,
	}
	for _, p := range peers {
		name := countedAs(p.ID)
		if a.states[name] == 0 || p.State != Suspended { // of several anonymous ones, one in doubt
			a.states[name] = p.State
		}
		n, err := s.unread(ctx, p.ID)
		switch {
		case err == nil:
			a.kept[name] += int64(n)
		case errors.Is(err, ErrNoPeer):
		case errors.Is(err, errHeld):
			a.hidden[name] = true
		default:
			return nil, s.wrap("audit", err)
		}
	}
	return &Audit{Pairs: a.pairs()}, nil
}

// countWithin is how long an audit tries to count what one mailbox keeps.
const countWithin = 5 * time.Second

var errHeld = errors.New("somebody holds the mailbox, and does not go on")

func (s *Store) unread(ctx context.Context, id string) (int, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, countWithin, errHeld)
	defer cancel()
	return s.handle.Unread(ctx, id)
}

// auditor is the arithmetic of an audit.
type auditor struct {
	stats  map[string]Stats
	torn   map[string]error // of whom the statistics do not decode
	hidden map[string]bool  // of whom it is not known what the mailbox keeps
	states map[string]State
	kept   map[string]int64 // messages in the mailbox that no pair has accounted for yet
	loses  bool             // a crash loses messages with the counts of them
}

func (a *auditor) pairs() []Pair {
	seen := map[[2]string]bool{}
	for id, s := range a.stats {
		for to := range s.Sent {
			seen[[2]string{id, to}] = true
		}
		for to := range s.Unsure {
			seen[[2]string{id, to}] = true
		}
		for _, counts := range []map[string]int64{s.Read, s.Rejected, s.Corrupt, s.Dropped} {
			for from := range counts {
				if from == "" { // nobody knows who sent it
					continue
				}
				seen[[2]string{from, id}] = true
			}
		}
	}
	keys := slices.SortedFunc(maps.Keys(seen), func(x, y [2]string) int { return slices.Compare(x[:], y[:]) })
	pairs := make([]Pair, len(keys))
	for n, k := range keys {
		pairs[n] = a.pair(k[0], k[1])
	}
	return pairs
}

func (a *auditor) pair(from, to string) Pair {
	sender, receiver := a.stats[from], a.stats[to]
	p := Pair{
		From: from, To: to,
		Sent: sender.Sent[to], Read: receiver.Read[from],
		Rejected: receiver.Rejected[from], Corrupt: receiver.Corrupt[from], Dropped: receiver.Dropped[from],
	}
	rest := p.rest()
	switch doubt := a.doubt(from, to); {
	case rest == 0 && p.Dropped == 0 && a.loses && (a.crashed(from) || a.crashed(to)):
		p.Verdict, p.Reason = Unknown, doubt // the counts agree by chance
	case rest == 0 && p.Dropped == 0:
		p.Verdict = Equal
	case rest == 0:
		p.Verdict = Dropped
	case rest > 0 && a.kept[to] >= rest:
		a.kept[to] -= rest
		p.Verdict = Unread
		if p.Dropped > 0 {
			p.Verdict = Dropped
		}
	case doubt != "":
		p.Verdict, p.Reason = Unknown, doubt
	case rest > 0:
		p.Verdict = Dropped
		p.Dropped += rest
	default:
		p.Verdict, p.Reason = Unknown, "more was read than sent"
	}
	return p
}

// crashed says whether the id ever did.
func (a *auditor) crashed(id string) bool {
	return a.states[id] == Crashed || a.stats[id].Crashes > 0
}

// doubt says why the counts of two clients need not agree.
func (a *auditor) doubt(from, to string) string {
	if a.hidden[to] {
		return fmt.Sprintf("what the mailbox of %q keeps is not known: %v", to, errHeld)
	}
	for _, id := range []string{from, to} {
		switch {
		case a.torn[id] != nil:
			return fmt.Sprintf("what %q counted is not known: %v", id, a.torn[id])
		case a.crashed(id):
			return fmt.Sprintf("%q crashed; these are its last counts", id)
		case a.states[id] == Active:
			return fmt.Sprintf("%q is active; these are its last counts", id)
		}
	}
	if n := a.stats[from].Unsure[to]; n > 0 {
		return fmt.Sprintf("%q is not sure whether %d more were accepted", from, n)
	}
	return ""
}
