package main

import (
	"context"
	"encoding/binary"
	"errors"
	"path/filepath"

	"go.etcd.io/bbolt"

	"github.com/ipcmgr/ipcmgr/internal/measure"
)

// boltLane is a bbolt database within one process, which nothing between two
// processes can be as fast as: a transaction that puts, and another that reads
// and deletes.
func boltLane(sync bool) measure.Lane {
	l := measure.Lane{Name: "bbolt in one process", Durable: measure.Unsynced}
	if sync {
		l.Name, l.Durable = l.Name+" sync", measure.Synced
	}
	l.Host = func(ctx context.Context, p measure.Place) (string, func() (measure.End, error), error) {
		db, err := bbolt.Open(filepath.Join(p.Dir, "db"), 0o600, &bbolt.Options{NoSync: !sync})
		if err != nil {
			return "", nil, err
		}
		e := &boltEnd{ctx: ctx, db: db, sent: make(chan struct{}, 1)}
		return "", func() (measure.End, error) {
			return e, db.Update(func(tx *bbolt.Tx) error {
				_, err := tx.CreateBucket(boltBucket)
				return err
			})
		}, nil
	}
	return l
}

var boltBucket = []byte("messages")

type boltEnd struct {
	ctx  context.Context
	db   *bbolt.DB
	next uint64
	sent chan struct{} // since the reader last looked
}

func (e *boltEnd) Send(content any) error { return e.SendBatch([]any{content}) }

func (e *boltEnd) SendBatch(contents []any) error {
	err := e.db.Update(func(tx *bbolt.Tx) error {
		for _, c := range contents {
			var key [8]byte
			binary.BigEndian.PutUint64(key[:], e.next)
			e.next++
			if err := tx.Bucket(boltBucket).Put(key[:], c.([]byte)); err != nil {
				return err
			}
		}
		return nil
	})
	select {
	case e.sent <- struct{}{}:
	default:
	}
	return err
}

// Range takes batch messages in a transaction.
func (e *boltEnd) Range(_ []byte, batch int, see func([]byte) (bool, error)) error {
	for more := true; more; {
		n := 0
		err := e.db.Update(func(tx *bbolt.Tx) error {
			cursor := tx.Bucket(boltBucket).Cursor()
			for k, v := cursor.First(); k != nil && more && n < batch; k, v = cursor.First() {
				var err error
				if more, err = see(v); err != nil {
					return err
				}
				if err := cursor.Delete(); err != nil {
					return err
				}
				n++
			}
			return nil
		})
		if err != nil {
			return err
		}
		if n == 0 {
			select {
			case <-e.sent:
			case <-e.ctx.Done():
				return context.Cause(e.ctx)
			}
		}
	}
	return nil
}

// Receive has nobody to be for: there is no other process to answer.
func (e *boltEnd) Receive([]byte) ([]byte, error) { return nil, errors.ErrUnsupported }

func (e *boltEnd) Close() error { return e.db.Close() }
