//go:build unix

package robustness

import (
	"errors"
	"fmt"

	"github.com/ipcmgr/ipcmgr"
)

// sendAll sends to one after the other of those it has to send to, until it is
// told to be quiet.
func (p *player) sendAll() (err error) {
	if len(p.To) == 0 {
		return nil
	}
	defer func() { err = errors.Join(err, p.j.flush()) }()
	h := p.left
	next := map[string]int{}
	misses := 0 // one after the other
	for p.sendCtx.Err() == nil {
		to := p.To[h.rand.IntN(len(p.To))]
		n, err := p.send(to, next[to])
		next[to] += n
		switch {
		case errors.Is(err, errQuiet):
			return nil
		case errors.Is(err, ipcmgr.ErrFull), errors.Is(err, ipcmgr.ErrUnsure):
		case errors.Is(err, ipcmgr.ErrNoPeer), errors.Is(err, ipcmgr.ErrPeerGone),
			errors.Is(err, ipcmgr.ErrPeerCrashed) && !p.keeps:
			if misses++; misses < 10 {
				continue // with whom it meets next
			}
			err := p.store.WaitPeer(p.sendCtx, to)
			if err != nil && !errors.Is(err, errQuiet) {
				return err
			}
		case err != nil:
			return err
		}
		misses = 0
		if err := p.publish(h); err != nil {
			return err
		}
		if !p.Receives {
			if err := p.rest(h); err != nil {
				return err
			}
		}
	}
	return nil
}

// send sends one message or a batch, and says how many numbers it used up.
func (p *player) send(to string, first int) (used int, err error) {
	h := p.left
	count, what := 1, sending
	if h.rand.IntN(3) == 0 {
		count, what = 1+h.rand.IntN(12), batching
	}
	letters := make([]any, count)
	for n := range letters {
		letters[n] = newLetter(h.rand, p.ID, p.Life, to, first+n)
	}
	if err := p.j.write("begin", p.Life, to, first, count, now()); err != nil {
		return 0, err
	}
	var done int
	err = h.at(what, func() (err error) {
		if what == batching {
			done, err = p.client.SendBatch(p.sendCtx, to, letters...)
			return err
		}
		send := p.client.Send
		if h.rand.IntN(4) == 0 {
			send = p.client.TrySend
		}
		if err = send(p.sendCtx, to, letters[0]); err == nil {
			done = 1
		}
		return err
	})
	if err == nil && done != count {
		err = fmt.Errorf("%d of %d are accepted, and there is no error", done, count)
	}
	verdict := accepted
	if errors.Is(err, ipcmgr.ErrUnsure) {
		verdict = unsure
	}
	p.j.note("end", p.Life, to, done, verdict, now()) // before the next message begins
	return count, err
}
