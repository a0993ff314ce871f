package main

import (
	"context"
	"errors"
	"time"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/proc"
)

// demoWorker hashes what it is sent, and ends with its parent.
var demoWorker = proc.Register("demo-worker", work)

// A worker holds answers back until it has answered all that it fetched, but
// no longer than this: the parent wants to show progress.
const answerWithin = 50 * time.Millisecond

// fetchJobs is how many jobs a worker takes at a time.
const fetchJobs = 64

// beforeHash is called with each path; tests stop a worker there.
var beforeHash = func(path string) {}

// work hashes until the store's owner asks to terminate.
func work(ctx context.Context, c ipcmgr.Client) error {
	if err := c.Send(ctx, parentID, answer{Ready: true}); err != nil {
		return err
	}
	h := newHasher()
	for {
		jobs, err := nextJobs(ctx, c)
		if errors.Is(err, ipcmgr.ErrTerminated) {
			return nil
		}
		if err != nil {
			return err
		}
		var answers []any
		last := time.Now()
		for _, j := range jobs {
			if len(answers) > 0 && time.Since(last) > answerWithin {
				if _, err := c.SendBatch(ctx, parentID, answers...); err != nil {
					return err
				}
				answers, last = nil, time.Now()
			}
			beforeHash(string(j.Path))
			a := answer{N: j.N}
			if a.Sum, a.Size, err = h.file(ctx, string(j.Path)); err != nil {
				a.Why = reason(err)
			}
			answers = append(answers, a)
		}
		if _, err := c.SendBatch(ctx, parentID, answers...); err != nil {
			return err
		}
	}
}

// nextJobs waits for one job and takes those that are there beside it. Each is
// decoded before the next call, which acknowledges it.
func nextJobs(ctx context.Context, c ipcmgr.Client) ([]job, error) {
	jobs := make([]job, 1, fetchJobs)
	m, err := c.Receive(ctx)
	if err != nil {
		return nil, err
	}
	if err := m.Decode(&jobs[0]); err != nil {
		return nil, err
	}
	more, err := c.Poll(ctx, fetchJobs-1)
	if err != nil && !errors.Is(err, ipcmgr.ErrTerminated) {
		return nil, err
	}
	for _, m := range more {
		var j job
		if err := m.Decode(&j); err != nil {
			return nil, err
		}
		jobs = append(jobs, j)
	}
	return jobs, nil
}
