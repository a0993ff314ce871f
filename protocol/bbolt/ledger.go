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
	messagesBucket = []byte("messages") // sequence number → frame; its sequence is the last number given
	backBucket     = []byte("back")     // place in line → sequence number of a message that was put back
	stateBucket    = []byte("state")    // sealedKey
)

var sealedKey = []byte("sealed") // there: no message is accepted any more

// ledger is what a mailbox's file says, within one transaction.
type ledger struct {
	tx       *bolt.Tx
	messages *bolt.Bucket
	back     *bolt.Bucket
	state    *bolt.Bucket
}

func openLedger(tx *bolt.Tx) (*ledger, error) {
	l := &ledger{tx, tx.Bucket(messagesBucket), tx.Bucket(backBucket), tx.Bucket(stateBucket)}
	if l.messages == nil || l.back == nil || l.state == nil {
		return nil, fmt.Errorf("%w: a bucket is missing", errDamaged)
	}
	// Numbers only grow, so a full page never gets another message.
	l.messages.FillPercent = 1
	return l, nil
}

// newLedger writes an empty one that goes on from a sequence number.
func newLedger(tx *bolt.Tx, sequence uint64, sealed bool) error {
	for _, name := range [][]byte{messagesBucket, backBucket, stateBucket} {
		if _, err := tx.CreateBucket(name); err != nil {
			return err
		}
	}
	l, err := openLedger(tx)
	if err != nil {
		return err
	}
	return errors.Join(l.messages.SetSequence(sequence), l.seal(sealed))
}

func key(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func number(k []byte) uint64 {
	if len(k) != 8 {
		panic(fmt.Sprintf("a number of %d bytes", len(k))) // as bbolt does for a page that is not one
	}
	return binary.BigEndian.Uint64(k)
}

// last is the last sequence number given.
func (l *ledger) last() uint64 { return l.messages.Sequence() }

// add appends a message.
func (l *ledger) add(data []byte) error {
	n, err := l.messages.NextSequence()
	if err != nil {
		return err
	}
	return l.messages.Put(key(n), data)
}

// get returns a message, or nil. It is valid within the transaction.
func (l *ledger) get(n uint64) []byte { return l.messages.Get(key(n)) }

// from calls visit for each message from number n on, until it returns false,
// and says whether it came to the end.
func (l *ledger) from(n uint64, visit func(n uint64, data []byte) bool) bool {
	c := l.messages.Cursor()
	for k, v := c.Seek(key(n)); k != nil; k, v = c.Next() {
		if !visit(number(k), v) {
			return false
		}
	}
	return true
}

// remove forgets messages; those that are not there are forgotten already.
func (l *ledger) remove(ns []uint64) error {
	for _, n := range ns {
		if err := l.messages.Delete(key(n)); err != nil {
			return err
		}
	}
	return nil
}

func (l *ledger) empty() bool {
	k, _ := l.messages.Cursor().First()
	return k == nil
}

// count walks all messages.
func (l *ledger) count() (messages, bytes int) {
	l.from(0, func(_ uint64, data []byte) bool {
		messages++
		bytes += len(data)
		return true
	})
	return messages, bytes
}

func (l *ledger) sealed() bool { return l.state.Get(sealedKey) != nil }

func (l *ledger) seal(on bool) error {
	if on {
		return l.state.Put(sealedKey, []byte{1})
	}
	return l.state.Delete(sealedKey)
}

// line lists the messages that were put back and are still there.
func (l *ledger) line() (ns []uint64) {
	c := l.back.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if n := number(v); l.get(n) != nil {
			ns = append(ns, n)
		}
	}
	return ns
}

// setLine replaces the line.
func (l *ledger) setLine(ns []uint64) error {
	c := l.back.Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.First() {
		if err := l.back.Delete(k); err != nil {
			return err
		}
	}
	for i, n := range ns {
		if err := l.back.Put(key(uint64(i)), key(n)); err != nil {
			return err
		}
	}
	return nil
}
