//go:build unix

package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	_ "github.com/mattn/go-sqlite3" // the driver

	"github.com/ipcmgr/ipcmgr/internal/measure"
)

func sqliteLanes() []measure.Lane { return []measure.Lane{sqliteLane("NORMAL"), sqliteLane("FULL")} }

// sqliteLane is a queue in an SQLite database with a write-ahead log: a table
// each way, to send is an insert, to receive a delete that returns what it
// deleted, and a batch is one transaction at both ends. A reader that finds
// nothing waits for a bell. FULL has each transaction on disk when it is
// committed, NORMAL has not.
func sqliteLane(synchronous string) measure.Lane {
	durable := measure.Unsynced
	if synchronous == "FULL" {
		durable = measure.Synced
	}
	return measure.Lane{
		Name:    "sqlite " + strings.ToLower(synchronous),
		Durable: durable,
		Host: func(ctx context.Context, p measure.Place) (string, func() (measure.End, error), error) {
			e, err := newSQLiteEnd(ctx, p.Dir, synchronous, "going", "coming")
			return "", func() (measure.End, error) { return e, e.bell.meet() }, err
		},
		Join: func(ctx context.Context, p measure.Place) (measure.End, error) {
			e, err := newSQLiteEnd(ctx, p.Dir, synchronous, "coming", "going")
			if err != nil {
				return nil, err
			}
			return e, e.bell.meet()
		},
	}
}

type sqliteEnd struct {
	ctx                         context.Context
	db                          *sql.DB
	insert, deleteOne, deleteAs *sql.Stmt
	bell                        *bell
}

func newSQLiteEnd(ctx context.Context, dir, synchronous, to, from string) (*sqliteEnd, error) {
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(dir, "queue")+"?_journal_mode=WAL&_txlock=immediate&_busy_timeout=60000&_synchronous="+synchronous)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	e := &sqliteEnd{ctx: ctx, db: db}
	for _, table := range []string{to, from} {
		if _, err := db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS "+table+" (n INTEGER PRIMARY KEY AUTOINCREMENT, content BLOB NOT NULL)"); err != nil {
			return nil, err
		}
	}
	first := "DELETE FROM " + from + " WHERE n IN (SELECT n FROM " + from + " ORDER BY n LIMIT "
	for stmt, text := range map[**sql.Stmt]string{
		&e.insert:    "INSERT INTO " + to + " (content) VALUES (?)",
		&e.deleteOne: first + "1) RETURNING n, content",
		&e.deleteAs:  first + "?) RETURNING n, content",
	} {
		if *stmt, err = db.PrepareContext(ctx, text); err != nil {
			return nil, err
		}
	}
	e.bell, err = newBell(ctx, dir, to, from)
	return e, err
}

func (e *sqliteEnd) Send(content any) error {
	if _, err := e.insert.ExecContext(e.ctx, content); err != nil {
		return err
	}
	return e.bell.ring()
}

func (e *sqliteEnd) SendBatch(contents []any) error {
	tx, err := e.db.BeginTx(e.ctx, nil)
	if err != nil {
		return err
	}
	insert := tx.StmtContext(e.ctx, e.insert)
	for _, c := range contents {
		if _, err := insert.ExecContext(e.ctx, c); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	return e.bell.ring()
}

func (e *sqliteEnd) Receive([]byte) (got []byte, err error) {
	err = e.Range(nil, 1, func(b []byte) (bool, error) {
		got = b
		return false, nil
	})
	return got, err
}

// Range takes batch messages at a time.
func (e *sqliteEnd) Range(_ []byte, batch int, see func([]byte) (bool, error)) error {
	for {
		ms, err := e.take(batch)
		if err != nil {
			return err
		}
		for _, m := range ms {
			if more, err := see(m.content); err != nil || !more {
				return err
			}
		}
		if len(ms) == 0 {
			if err := e.bell.wait(); err != nil {
				return err
			}
		}
	}
}

type sqliteMessage struct {
	n       int64
	content []byte
}

// take deletes the first messages.
func (e *sqliteEnd) take(most int) ([]sqliteMessage, error) {
	var rows *sql.Rows
	var err error
	if most == 1 {
		rows, err = e.deleteOne.QueryContext(e.ctx)
	} else {
		rows, err = e.deleteAs.QueryContext(e.ctx, most)
	}
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ms []sqliteMessage
	for rows.Next() {
		var m sqliteMessage
		if err := rows.Scan(&m.n, &m.content); err != nil {
			return nil, err
		}
		ms = append(ms, m)
	}
	slices.SortFunc(ms, func(a, b sqliteMessage) int { return cmp.Compare(a.n, b.n) }) // they come in no order
	return ms, rows.Err()
}

func (e *sqliteEnd) Close() error { return errors.Join(e.db.Close(), e.bell.close()) }
