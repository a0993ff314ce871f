package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/ipcmgr/ipcmgr"
)

// ahead is how many jobs a worker has, so that it need not wait for the next.
const ahead = 4

// below is what the n-th job asks for.
func below(n int) int { return 1000 * (n + 1) }

// pool is the boss's account: which job is with whom, and what came back.
type pool struct {
	me      ipcmgr.Client
	workers []string
	results []int
	left    int                     // jobs without a result
	next    int                     // the first that nobody has yet
	given   map[string]map[int]bool // jobs of each worker: whether its mailbox has it
}

func newPool(me ipcmgr.Client, jobs, workers int) *pool {
	p := &pool{me: me, results: make([]int, jobs), left: jobs, given: map[string]map[int]bool{}}
	for n := range workers {
		id := fmt.Sprintf("worker%d", n+1)
		p.workers = append(p.workers, id)
		p.given[id] = map[int]bool{}
	}
	return p
}

// work gives out jobs until all have a result. On the way it kills some workers.
func (p *pool) work(ctx context.Context, kills int) error {
	killed := 0
	for p.left > 0 {
		m, err := p.me.Receive(ctx)
		if err != nil {
			return err
		}
		var a answer
		if err := m.Decode(&a); err != nil {
			return err
		}
		if a.Hello {
			err = p.giveAgain(ctx, m.From)
		} else {
			p.take(m.From, a)
			if killed < kills && (len(p.results)-p.left)*(kills+1) > killed*len(p.results) {
				kill(ctx, p.me.Store(), p.workers[killed%len(p.workers)])
				killed++
			}
		}
		if err == nil {
			err = p.give(ctx, m.From)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// take notes the result of a job that is with the worker, and drops any other:
// who was killed after it had answered, and before that was on record, got the
// job again.
func (p *pool) take(from string, a answer) {
	if _, has := p.given[from][a.N]; has {
		delete(p.given[from], a.N)
		p.results[a.N] = a.Primes
		p.left--
	}
}

// give fills a worker's mailbox up.
func (p *pool) give(ctx context.Context, id string) error {
	for len(p.given[id]) < ahead && p.next < len(p.results) {
		p.next++
		if err := p.send(ctx, id, p.next-1); err != nil {
			return err
		}
	}
	return nil
}

// giveAgain is for a worker that has come back. Its mailbox came back with it,
// where the protocol keeps mailboxes; else the jobs are gone.
func (p *pool) giveAgain(ctx context.Context, id string) error {
	kept := p.me.Store().Features().Redelivers
	for n, sent := range p.given[id] {
		if sent && kept {
			continue
		}
		if err := p.send(ctx, id, n); err != nil {
			return err
		}
	}
	return nil
}

// send sends a job. That the worker is not there is no error: it comes back.
func (p *pool) send(ctx context.Context, id string, n int) error {
	err := p.me.Send(ctx, id, job{N: n, Below: below(n)})
	p.given[id][n] = err == nil
	if errors.Is(err, ipcmgr.ErrPeerCrashed) || errors.Is(err, ipcmgr.ErrPeerGone) ||
		errors.Is(err, ipcmgr.ErrNoPeer) || errors.Is(err, ipcmgr.ErrUnsure) {
		return nil
	}
	return err
}

// kill is what nobody should do to a worker. It may be too late for it.
func kill(ctx context.Context, st *ipcmgr.Store, id string) {
	if peer, err := st.Peer(ctx, id); err == nil && peer.State == ipcmgr.Active {
		if process, err := os.FindProcess(peer.PID); err == nil {
			_ = process.Kill()
		}
	}
}
