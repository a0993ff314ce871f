package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/fsnotify/fsnotify"

	"github.com/ipcmgr/ipcmgr/internal/measure"
)

// filesLane is a directory each way with a file for each message, by hand:
// create, write, rename; list, read, remove, and wait for an event when there
// is nothing. A listing may miss a file that is made meanwhile and show a later
// one, so order is not kept.
func filesLane() measure.Lane {
	return measure.Lane{
		Name:      "files by hand",
		Durable:   measure.Unsynced,
		Unordered: true,
		Host: func(ctx context.Context, p measure.Place) (string, func() (measure.End, error), error) {
			for _, dir := range []string{"to", "back"} {
				if err := os.Mkdir(filepath.Join(p.Dir, dir), 0o700); err != nil {
					return "", nil, err
				}
			}
			return "", func() (measure.End, error) { return newFilesEnd(ctx, p.Dir, "to", "back") }, nil
		},
		Join: func(ctx context.Context, p measure.Place) (measure.End, error) {
			return newFilesEnd(ctx, p.Dir, "back", "to")
		},
	}
}

type filesEnd struct {
	ctx     context.Context
	tmp     string
	out, in string
	sent    int
	names   []string // listed and not read yet
	watcher *fsnotify.Watcher
	changed chan struct{}
}

func newFilesEnd(ctx context.Context, dir, to, from string) (*filesEnd, error) {
	e := &filesEnd{
		ctx: ctx, tmp: filepath.Join(dir, to+".tmp"),
		out: filepath.Join(dir, to), in: filepath.Join(dir, from), changed: make(chan struct{}, 1),
	}
	var err error
	if e.watcher, err = fsnotify.NewWatcher(); err != nil {
		return nil, err
	}
	go e.watch()
	return e, e.watcher.Add(e.in)
}

// watch drains the events, or their queue would overflow and no more would
// come.
func (e *filesEnd) watch() {
	for range e.watcher.Events {
		select {
		case e.changed <- struct{}{}:
		default:
		}
	}
}

func (e *filesEnd) Send(content any) error {
	if err := os.WriteFile(e.tmp, content.([]byte), 0o600); err != nil {
		return err
	}
	e.sent++
	return os.Rename(e.tmp, filepath.Join(e.out, fmt.Sprintf("%016x", e.sent)))
}

func (e *filesEnd) SendBatch(contents []any) error {
	for _, c := range contents {
		if err := e.Send(c); err != nil {
			return err
		}
	}
	return nil
}

func (e *filesEnd) Receive([]byte) ([]byte, error) {
	for len(e.names) == 0 {
		entries, err := os.ReadDir(e.in)
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			e.names = append(e.names, entry.Name())
		}
		if len(entries) > 0 {
			break
		}
		select {
		case <-e.changed:
		case <-e.ctx.Done():
			return nil, context.Cause(e.ctx)
		}
	}
	path := filepath.Join(e.in, e.names[0])
	e.names = e.names[1:]
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return b, os.Remove(path)
}

func (e *filesEnd) Close() error { return e.watcher.Close() }
