package bbolt

import (
	"encoding/binary"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// errDamaged is that of a file that is not, or no longer, what was written.
var errDamaged = errors.New("the mailbox's file is damaged")

// The buckets of a mailbox's file.
var (
	messagesBucket = []byte("messages") // bundles by their numbers; its sequence is the last number given
	backBucket     = []byte("back")     // place in line → number of a message that was put back
)

// ledger is what a mailbox's file says, within one transaction. Bolt writes
// pages, and they are in memory: nothing that changes it fails, but by a panic
// where a page is not what it should be.
type ledger struct {
	tx       *bolt.Tx
	messages *bolt.Bucket
	buf      [16]byte // of the key that is looked for
	forgets  spans    // what forget was told
}

// open begins a transaction's use of a ledger.
func (l *ledger) open(tx *bolt.Tx) error {
	*l = ledger{tx: tx, messages: tx.Bucket(messagesBucket)}
	if l.messages == nil || l.last() > maxNumber {
		return fmt.Errorf("%w: it has no messages, or too many", errDamaged)
	}
	// Numbers only grow, so a full page never gets another message.
	l.messages.FillPercent = 1
	return nil
}

// newLedger writes an empty one that goes on from a number.
func newLedger(tx *bolt.Tx, last uint64) error {
	messages, err := tx.CreateBucket(messagesBucket)
	if err != nil {
		return err
	}
	_, err = tx.CreateBucket(backBucket)
	return errors.Join(err, messages.SetSequence(last))
}

// must panics, as bolt does for a page that is not one.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// key is valid until the next.
func (l *ledger) key(s span) []byte {
	binary.BigEndian.PutUint64(l.buf[:], s.first)
	binary.BigEndian.PutUint64(l.buf[8:], s.last)
	return l.buf[:]
}

func readKey(k []byte) span {
	if len(k) != 16 {
		panic(fmt.Sprintf("a bundle's key of %d bytes", len(k)))
	}
	s := span{binary.BigEndian.Uint64(k), binary.BigEndian.Uint64(k[8:])}
	if s.first == 0 || s.first > s.last || s.last > maxNumber {
		panic(fmt.Sprintf("a bundle of the messages from %d to %d", s.first, s.last))
	}
	return s
}

// last is the last number given.
func (l *ledger) last() uint64 { return l.messages.Sequence() }

// skip makes n the last number given.
func (l *ledger) skip(n uint64) {
	if n > l.last() {
		must(l.messages.SetSequence(n))
	}
}

// add appends what is in a parcel, which stays as it is until the transaction
// has ended.
func (l *ledger) add(p *parcel) {
	last := l.last()
	for _, b := range p.bundles {
		l.put(bundle{span{last + b.first, last + b.last}, b.data})
	}
	if n := len(p.bundles); n > 0 {
		must(l.messages.SetSequence(last + p.bundles[n-1].last))
	}
}

func (l *ledger) put(b bundle) { must(l.messages.Put(l.key(b.span), b.data)) }

// at moves a cursor to the bundle that message n is in, or else to the next.
func (l *ledger) at(c *bolt.Cursor, n uint64) (k, v []byte) {
	first := span{first: n}
	k, v = c.Seek(l.key(first))
	if k != nil && readKey(k).first == n {
		return k, v
	}
	if k == nil {
		k, v = c.Last()
	} else {
		k, v = c.Prev()
	}
	if k != nil && readKey(k).last >= n {
		return k, v
	}
	return c.Seek(l.key(first))
}

// bundles calls visit for each bundle from that of message n on, until it
// returns false, and says whether it came to the end.
func (l *ledger) bundles(n uint64, visit func(bundle) bool) bool {
	c := l.messages.Cursor()
	for k, v := l.at(c, n); k != nil; k, v = c.Next() {
		if !visit(bundle{readKey(k), v}) {
			return false
		}
	}
	return true
}

// from does the same with messages.
func (l *ledger) from(n uint64, visit func(n uint64, frame []byte) bool) bool {
	return l.bundles(n, func(b bundle) bool { return b.from(n, visit) })
}

// get returns message n, or nil. It is valid within the transaction.
func (l *ledger) get(n uint64) (frame []byte) {
	l.from(n, func(found uint64, data []byte) bool {
		if found == n {
			frame = data
		}
		return false
	})
	return frame
}

// sweep deletes bundles of which all is acknowledged; with parts, those of which
// some is are replaced by what is left of them. Nothing is looked for in the
// same transaction after it: bolt's cursors lose their way where pages have
// become empty.
func (l *ledger) sweep(acked spans, parts bool) {
	var done []span
	var left []bundle
	for _, s := range acked {
		l.bundles(s.first, func(b bundle) bool {
			switch {
			case b.first > s.last:
				return false
			case s.first <= b.first && b.last <= s.last:
				done = append(done, b.span)
			case parts && (len(done) == 0 || done[len(done)-1] != b.span):
				done = append(done, b.span)
				left = append(left, b.without(acked)...)
			}
			return b.last < s.last
		})
	}
	for _, s := range done {
		must(l.messages.Delete(l.key(s)))
	}
	for _, b := range left {
		l.put(b)
	}
}

func (l *ledger) empty() bool {
	k, _ := l.messages.Cursor().First()
	return k == nil
}

// forget deletes what is acknowledged at the end of the transaction.
func (l *ledger) forget(acked spans) { l.forgets = append(l.forgets, acked...).merge() }

// count walks all messages but those that are acknowledged.
func (l *ledger) count(acked spans) (messages, bytes int) {
	l.from(0, func(n uint64, frame []byte) bool {
		if !acked.have(n) {
			messages++
			bytes += len(frame)
		}
		return true
	})
	return messages, bytes
}

// back is the bucket of those that were put back.
func (l *ledger) back() *bolt.Bucket {
	b := l.tx.Bucket(backBucket)
	if b == nil {
		panic("a bucket is missing")
	}
	return b
}

// line lists the messages that were put back and are not acknowledged.
func (l *ledger) line(acked spans) (ns []uint64) {
	c := l.back().Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if len(v) != 8 {
			panic(fmt.Sprintf("a number of %d bytes", len(v)))
		}
		if n := binary.BigEndian.Uint64(v); !acked.have(n) && l.get(n) != nil {
			ns = append(ns, n)
		}
	}
	return ns
}

// setLine replaces the line.
func (l *ledger) setLine(ns []uint64) {
	back := l.back()
	c := back.Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.First() {
		must(back.Delete(k))
	}
	for i, n := range ns {
		key := binary.BigEndian.AppendUint64(nil, uint64(i))
		must(back.Put(key, binary.BigEndian.AppendUint64(nil, n)))
	}
}
