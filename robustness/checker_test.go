package robustness

import (
	"fmt"
	"strconv"
)

// checker holds what the journals of all clients say against what was
// promised. It is told of it in the order in which it happened, as far as that
// is known: a message's begin before its arrival.
type checker struct {
	keeps      bool // the protocol keeps the mailbox of who is killed
	pairs      map[[2]string]*pair
	lives      map[string][]life
	complaints []string
}

// life is one process of a client.
type life struct {
	born, died int64 // before it was started, after it was seen dead; died 0 = lives
	killed     bool
}

// pair is the messages of one client to another, in the order in which they
// were sent.
type pair struct {
	msgs    []sent
	base    map[int]int // where the messages of a life of the sender begin
	pending [2]int      // of msgs: from and up to, begun and not ended
	newest  int         // of msgs: the last that arrived, -1 = none
	last    map[int]int // of msgs, by life of the receiver: the last that arrived in it
	twice   int         // arrivals of a message that had arrived before
}

type sent struct {
	begun, ended int64 // ended 0 = the sender did not live to know
	fate         fate
	arrived      bool
	acked        bool // on record
}

type fate uint8

const (
	maybe fate = iota // the sender was killed meanwhile, or is unsure
	taken             // accepted
	refused
)

func newChecker(keeps bool) *checker {
	return &checker{keeps: keeps, pairs: map[[2]string]*pair{}, lives: map[string][]life{}}
}

func (c *checker) pair(from, to string) *pair {
	p := c.pairs[[2]string{from, to}]
	if p == nil {
		p = &pair{base: map[int]int{}, newest: -1, last: map[int]int{}}
		c.pairs[[2]string{from, to}] = p
	}
	return p
}

func (c *checker) complain(format string, args ...any) {
	if len(c.complaints) < 20 {
		c.complaints = append(c.complaints, fmt.Sprintf(format, args...))
	}
}

// starts and dies tell of the lives of a client, numbered from 1.
func (c *checker) starts(id string, at int64) { c.lives[id] = append(c.lives[id], life{born: at}) }

func (c *checker) dies(id string, at int64, killed bool) {
	l := &c.lives[id][len(c.lives[id])-1]
	l.died, l.killed = at, killed
}

// sentBy takes those lines of a journal that are about sending, arrivedAt
// those about receiving.
func (c *checker) sentBy(id string, line []string) {
	switch line[0] {
	case "begin":
		c.begin(id, line[2], number(line[1]), number(line[3]), number(line[4]), int64(number(line[5])))
	case "end":
		c.end(id, line[2], number(line[3]), line[4], int64(number(line[5])))
	}
}

func (c *checker) arrivedAt(id string, line []string) {
	switch line[0] {
	case "got":
		c.got(id, number(line[1]), line[2], number(line[3]), number(line[4]), line[5] == "true")
	case "acked":
		p := c.pair(line[2], id)
		p.msgs[p.base[number(line[3])]+number(line[4])].acked = true
	}
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic("a journal has the number " + s)
	}
	return n
}

func (c *checker) begin(from, to string, life, first, count int, at int64) {
	p := c.pair(from, to)
	if _, ok := p.base[life]; !ok {
		p.base[life] = len(p.msgs)
	}
	if p.base[life]+first != len(p.msgs) {
		c.complain("%s sends number %d of its life %d to %s, and that is not the next", from, first, life, to)
		return
	}
	p.pending = [2]int{len(p.msgs), len(p.msgs) + count}
	for range count {
		p.msgs = append(p.msgs, sent{begun: at})
	}
}

func (c *checker) end(from, to string, n int, verdict string, at int64) {
	p := c.pair(from, to)
	for i := p.pending[0]; i < p.pending[1]; i++ {
		m := &p.msgs[i]
		m.ended = at
		switch {
		case i < p.pending[0]+n:
			m.fate = taken
		case verdict != "unsure":
			m.fate = refused
		}
		if m.fate == refused && m.arrived {
			c.complain("message %d from %s to %s was refused, and arrived", i, from, to)
		}
	}
}

func (c *checker) got(to string, in int, from string, life, seq int, marked bool) {
	p := c.pair(from, to)
	base, ok := p.base[life]
	i := base + seq
	if !ok || i >= len(p.msgs) {
		c.complain("%s got number %d of life %d of %s, which was not sent", to, seq, life, from)
		return
	}
	m := &p.msgs[i]
	say := func(format string, args ...any) {
		c.complain("message %d from %s to %s (number %d of life %d, got in life %d): "+format,
			append([]any{i, from, to, seq, life, in}, args...)...)
	}
	if m.fate == refused {
		say("was refused, and arrived")
	}
	if last, ok := p.last[in]; ok && i <= last {
		say("arrived after %d", last)
	}
	switch {
	case m.arrived && !c.keeps:
		say("arrived twice, and nothing is kept")
	case m.arrived && m.acked:
		say("arrived again after it was acknowledged on record")
	case m.arrived && !marked:
		say("arrived again without the mark")
	case !m.arrived && i < p.newest:
		say("arrived first after %d had arrived", p.newest)
	}
	if marked && !c.mayBeMarked(to, in, m) {
		say("is marked, and nobody can have had it before")
	}
	if m.arrived {
		p.twice++
	} else if c.keeps {
		for n := max(p.newest, 0); n < i; n++ {
			if o := &p.msgs[n]; !o.arrived && (o.fate == taken || o.begun == m.begun) {
				say("arrived, and %d before it did not", n)
			}
		}
	}
	m.arrived = true
	p.newest = max(p.newest, i)
	p.last[in] = i
}

// mayBeMarked says whether a killed life of the receiver may have had a
// message before.
func (c *checker) mayBeMarked(to string, in int, m *sent) bool {
	return c.keeps && in > 1 && m.begun < c.lives[to][in-2].died
}

// finish says what is missing in the end, when nothing is under way any more.
func (c *checker) finish() {
	for key, p := range c.pairs {
		for i := range p.msgs {
			m := &p.msgs[i]
			if m.fate != taken || m.arrived {
				continue
			}
			if c.keeps {
				c.complain("message %d from %s to %s was accepted, and is lost", i, key[0], key[1])
			} else if !c.wasUnread(key[1], p, i) {
				c.complain("message %d from %s to %s is lost, and was not unread in a killed receiver", i, key[0], key[1])
			}
		}
	}
}

// wasUnread says whether a message can have been accepted by a life of the
// receiver that was killed before it had received it.
func (c *checker) wasUnread(to string, p *pair, i int) bool {
	for n, l := range c.lives[to] {
		last, some := p.last[n+1]
		if l.killed && l.born < p.msgs[i].ended && l.died > p.msgs[i].begun && (!some || last < i) {
			return true
		}
	}
	return false
}

// tally sums up what was seen.
type tally struct{ accepted, refused, maybe, maybeArrived, arrived, twice, lost int }

func (c *checker) tally() (all tally) {
	for key := range c.pairs {
		t := c.tallyOf(key)
		all.accepted += t.accepted
		all.refused += t.refused
		all.maybe += t.maybe
		all.maybeArrived += t.maybeArrived
		all.arrived += t.arrived
		all.twice += t.twice
		all.lost += t.lost
	}
	return all
}

func (c *checker) tallyOf(key [2]string) (t tally) {
	p := c.pairs[key]
	t.twice = p.twice
	for i := range p.msgs {
		m := &p.msgs[i]
		if m.arrived {
			t.arrived++
		}
		switch {
		case m.fate == refused:
			t.refused++
		case m.fate == taken:
			t.accepted++
			if !m.arrived {
				t.lost++
			}
		default:
			t.maybe++
			if m.arrived {
				t.maybeArrived++
			}
		}
	}
	return t
}

// behind says of which pair nothing that was sent after a time has arrived.
func (c *checker) behind(at int64) (key [2]string, some bool) {
	for key, p := range c.pairs {
		if p.newest < 0 || p.msgs[p.newest].begun < at {
			return key, true
		}
	}
	return key, false
}
