package robustness

import (
	"fmt"
	"slices"
)

// model is what a store promises, in the simplest terms: for each client, what
// is in its mailbox, by sender.
type model struct {
	keeps bool // mailboxes of those who are away are kept
	boxes map[string]*box
}

// box is a mailbox, and what its holder has in hand.
type box struct {
	state   string // "" when nobody has left anything under the id
	waiting map[string][]*item
	hand    []*item // handed out
	back    []*item // put back, the last one first
	settled []*item // acknowledged, and perhaps not on record yet
}

const (
	active    = "active"
	suspended = "suspended"
	crashed   = "crashed"
)

// item is one message.
type item struct {
	from  string
	n     int
	rank  int  // its place among its sender's; equal ones may come in any order
	must  bool // be marked
	may   bool // be marked
	maybe bool // it was acknowledged, and a crash may have undone that
}

func (i *item) String() string { return fmt.Sprintf("%d from %s", i.n, i.from) }

func newModel(keeps bool) *model { return &model{keeps: keeps, boxes: map[string]*box{}} }

func (m *model) box(id string) *box {
	b := m.boxes[id]
	if b == nil {
		b = &box{waiting: map[string][]*item{}}
		m.boxes[id] = b
	}
	return b
}

// accepts says whether a message to the client would be taken.
func (m *model) accepts(id string) bool {
	b := m.box(id)
	return b.state == active || b.state != "" && m.keeps
}

func (m *model) send(from, to string, n int) {
	b := m.box(to)
	b.waiting[from] = append(b.waiting[from], &item{from: from, n: n, rank: n})
}

// pending is the most messages that the mailbox may hold unacknowledged.
func (b *box) pending() int {
	n := len(b.hand) + len(b.back) + len(b.settled)
	for _, w := range b.waiting {
		n += len(w)
	}
	return n
}

// receive checks that a message may come now.
func (b *box) receive(from string, n int, marked bool) error {
	if len(b.back) > 0 {
		last := b.back[len(b.back)-1]
		if last.from != from || last.n != n || !marked {
			return fmt.Errorf("got %d from %s, marked %v, when %v had been put back", n, from, marked, last)
		}
		b.back = b.back[:len(b.back)-1]
		b.hand = append(b.hand, last)
		return nil
	}
	w := b.waiting[from]
	at := slices.IndexFunc(w, func(i *item) bool { return i.n == n })
	if at < 0 {
		return fmt.Errorf("got %d from %s, which is not in the mailbox", n, from)
	}
	got := w[at]
	for _, earlier := range w[:at] {
		if !earlier.maybe && earlier.rank != got.rank {
			return fmt.Errorf("got %v before %v", got, earlier)
		}
	}
	if got.must && !marked {
		return fmt.Errorf("got %v again without the mark", got)
	}
	if marked && !got.may {
		return fmt.Errorf("got %v marked, and nobody had it before", got)
	}
	w = slices.DeleteFunc(w, func(i *item) bool { return i == got || i.maybe && i.rank < got.rank })
	b.waiting[from] = w
	got.must, got.may, got.maybe = marked, marked, false
	b.hand = append(b.hand, got)
	return nil
}

// empty checks that nothing need come any more. What might have come has not.
func (b *box) empty() error {
	if len(b.back) > 0 {
		return fmt.Errorf("%v were put back, and do not come", b.back)
	}
	for from, w := range b.waiting {
		for _, i := range w {
			if !i.maybe {
				return fmt.Errorf("%v is in the mailbox, and does not come", i)
			}
		}
		delete(b.waiting, from)
	}
	return nil
}

// settle acknowledges in passing everything that is handed out.
func (b *box) settle() {
	b.settled = append(b.settled, b.hand...)
	b.hand = nil
}

// record says that everything acknowledged is on record.
func (b *box) record() { b.settled = nil }

func (b *box) take(i *item) {
	b.hand = slices.DeleteFunc(b.hand, func(o *item) bool { return o == i })
}

func (b *box) requeue(i *item) {
	b.take(i)
	i.must, i.may = true, true
	b.back = append(b.back, i)
}

// suspend acknowledges what is handed out. What was put back comes first of
// its sender's.
func (b *box) suspend() {
	b.state = suspended
	b.hand, b.settled = nil, nil
	for _, i := range b.back {
		i.rank = -1
	}
	b.restore(b.back)
	b.back = nil
}

// crash brings back, marked, what was in hand, and perhaps what was
// acknowledged in passing. Anything else may be marked as well.
func (m *model) crash(id string) {
	b := m.box(id)
	b.state = crashed
	if !m.keeps {
		*b = box{state: crashed, waiting: map[string][]*item{}}
		return
	}
	for _, i := range b.settled {
		i.maybe = true
	}
	for _, list := range [][]*item{b.settled, b.hand, b.back} {
		for _, i := range list {
			i.must = true
		}
		b.restore(list)
	}
	b.settled, b.hand, b.back = nil, nil, nil
	for _, w := range b.waiting {
		for _, i := range w {
			i.may = true
		}
	}
}

// restore gives messages the place that their rank says.
func (b *box) restore(list []*item) {
	for _, i := range list {
		b.waiting[i.from] = append(b.waiting[i.from], i)
	}
	for _, w := range b.waiting {
		slices.SortStableFunc(w, func(x, y *item) int { return x.rank - y.rank })
	}
}

// leave forgets the mailbox.
func (m *model) leave(id string) { delete(m.boxes, id) }

// unread says how many messages of each sender there are at least, and at
// most.
func (b *box) unread() (least, most map[string]int) {
	least, most = map[string]int{}, map[string]int{}
	count := func(list []*item) {
		for _, i := range list {
			most[i.from]++
			if !i.maybe {
				least[i.from]++
			}
		}
	}
	count(b.back)
	for _, w := range b.waiting {
		count(w)
	}
	return least, most
}
