package service

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ipcmgr/ipcmgr"
)

// watcher tells a Caller which services are lost. It runs from the first call
// to Close, and sleeps until the peers of the store change: what it costs does
// not depend on the number of calls. Its fields are guarded by the Caller's mu.
type watcher struct {
	once  sync.Once
	life  context.Context
	end   context.CancelFunc
	wg    sync.WaitGroup
	again context.CancelCauseFunc // makes it look at once

	known map[string]ipcmgr.Peer // as of the last look; nil before the first
	blind error                  // why it sees nothing any more
}

var errLook = errors.New("look again")

// start begins watching, once.
func (c *Caller) startWatcher() {
	w := &c.peers
	w.once.Do(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.closed {
			return
		}
		w.life, w.end = context.WithCancel(context.Background())
		w.wg.Go(c.watch)
	})
}

func (w *watcher) stop() {
	w.once.Do(func() {})
	if w.end != nil {
		w.end()
		w.wg.Wait()
	}
}

// watch looks at the peers after each change and at the deadline of each
// suspension.
func (c *Caller) watch() {
	w := &c.peers
	var next time.Time // the first deadline to come
	for {
		ctx, cancel := context.WithCancelCause(w.life)
		stop := context.CancelFunc(func() {})
		timed := ctx
		if !next.IsZero() {
			timed, stop = context.WithDeadline(ctx, next.Add(time.Millisecond))
		}
		c.mu.Lock()
		w.again = cancel
		c.mu.Unlock()
		err := c.Store().WaitUntil(timed, func(peers []ipcmgr.Peer) bool {
			was := next
			next = c.look(peers)
			return !next.Equal(was)
		})
		over := timed.Err() != nil
		if over { // the next look tells the next deadline
			next = time.Time{}
		}
		stop()
		cancel(nil)
		if w.life.Err() != nil {
			return
		}
		if err != nil && !over {
			c.goBlind(err)
			return
		}
	}
}

// look notes how the peers are, and what calls it costs an answer. It returns
// the first deadline to come of a suspension.
func (c *Caller) look(peers []ipcmgr.Peer) (next time.Time) {
	now := time.Now()
	for _, p := range peers {
		if p.State == ipcmgr.Suspended && p.Until.After(now) && (next.IsZero() || p.Until.Before(next)) {
			next = p.Until
		}
	}
	if suspects := c.note(peers, now); len(suspects) > 0 {
		c.verify(suspects)
	}
	return next
}

// note remembers the peers and returns the calls that seem to be lost. They may
// have been made since the peers were listed, to a service that came since.
func (c *Caller) note(peers []ipcmgr.Peer, now time.Time) (suspects []*call) {
	known := byID(peers)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.peers.known = known
	for _, p := range c.calls {
		if p.waits() && p.lost == nil && p.lostWith(known, now, c.redelivers()) != nil {
			suspects = append(suspects, p)
		}
	}
	return suspects
}

// verify looks again, now that the requests are sent.
func (c *Caller) verify(suspects []*call) {
	peers, err := c.Store().Peers(c.peers.life)
	if err != nil {
		return // the next look has it too
	}
	known, now := byID(peers), time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range suspects {
		if err := p.lostWith(known, now, c.redelivers()); err != nil {
			c.mourn(p, err)
		}
	}
}

func byID(peers []ipcmgr.Peer) map[string]ipcmgr.Peer {
	m := make(map[string]ipcmgr.Peer, len(peers))
	for _, p := range peers {
		m[p.ID] = p
	}
	return m
}

func (c *Caller) redelivers() bool { return c.Store().Features().Redelivers }

// goBlind gives up on all calls: whether they are answered cannot be known.
func (c *Caller) goBlind(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.peers.blind = err
	for _, p := range c.calls {
		c.mourn(p, err)
	}
}

// meet notes the present incarnation of the service that is to be called, or
// says why there is none that will answer. It is looked up only if the watcher
// has not seen it yet, or has seen it gone. ErrNoPeer.
func (c *Caller) meet(ctx context.Context, p *call) error {
	c.startWatcher()
	c.mu.Lock()
	peer, ok := c.peers.known[p.service]
	c.mu.Unlock()
	if !ok || dead(peer, p.began, c.redelivers()) != nil {
		var err error
		if peer, err = c.Store().Peer(ctx, p.service); err != nil {
			return err
		}
	}
	c.mu.Lock()
	p.base = incarnationOf(peer)
	c.mu.Unlock()
	return dead(peer, p.began, c.redelivers())
}

// recheck is for a call that waits from now on. What is known of the service may
// be older than that, so a doubt takes a new look. c.mu is held.
func (c *Caller) recheck(p *call) {
	w := &c.peers
	switch {
	case p.lost != nil: // while it waited for room, and found some
		c.mourn(p, p.lost)
		return
	case w.blind != nil:
		c.mourn(p, w.blind)
		return
	}
	if p.lostWith(w.known, p.began, c.redelivers()) != nil && w.again != nil {
		w.again(errLook)
	}
}

// mourn notes that there will be no answer but one that is in the mailbox, and
// makes who receives look there. c.mu is held.
func (c *Caller) mourn(p *call, why error) {
	p.lost = why
	if p.giveUp != nil { // there is no request, and so no answer
		p.giveUp(why)
		return
	}
	c.mourning = true
	c.wakeReader(errWoken)
}

// bury ends the calls that lost their service, after the last look into the
// mailbox. The turn is held.
func (c *Caller) bury(ctx context.Context) (did bool, err error) {
	c.mu.Lock()
	var lost []*call
	if c.mourning {
		for _, p := range c.calls {
			if p.lost != nil {
				lost = append(lost, p)
			}
		}
	}
	c.mourning = false
	c.mu.Unlock()
	if len(lost) == 0 {
		return false, nil
	}
	err = c.drain(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.mourning = true
		return false, err
	}
	for _, p := range lost {
		c.settleCall(p, p.lost)
	}
	return true, nil
}

// incarnation tells a service from a later one of the same id: a request is
// kept for those that take up its mailbox, and for no others.
type incarnation struct {
	mailbox   string    // of a service of ours; "" of another client
	since     time.Time // when it came into its state
	suspended bool
}

func incarnationOf(p ipcmgr.Peer) incarnation {
	return incarnation{p.Attrs[AttrMailbox], p.Since, p.State == ipcmgr.Suspended}
}

// lostWith says why the call can no longer be answered, with the peers as they
// are now; nil if it may.
func (p *call) lostWith(known map[string]ipcmgr.Peer, now time.Time, redelivers bool) error {
	peer, ok := known[p.service]
	if !ok {
		return ipcmgr.ErrPeerGone
	}
	is, was := incarnationOf(peer), p.base
	another := was.mailbox != "" && is.mailbox != was.mailbox
	if was.mailbox == "" { // who takes up a mailbox is seen suspended before
		another = !is.since.Equal(was.since) && !was.suspended && !is.suspended
	}
	if err := dead(peer, now, redelivers); err != nil {
		return err
	}
	if another && peer.Since.After(p.began) {
		return fmt.Errorf("%w: another client has its id now", ipcmgr.ErrPeerGone)
	}
	p.base = is
	return nil
}

// dead says why a service answers no more, whoever asks; nil if it may.
func dead(peer ipcmgr.Peer, now time.Time, redelivers bool) error {
	switch {
	case peer.Overdue(now):
		return fmt.Errorf("%w: it is suspended, and missed its deadline of %s", ipcmgr.ErrPeerGone, peer.Until.Format(time.RFC3339))
	case peer.State == ipcmgr.Crashed && !(redelivers && peer.Attrs[AttrDurable] != ""):
		return fmt.Errorf("%w: %w", ipcmgr.ErrPeerGone, ipcmgr.ErrPeerCrashed)
	}
	return nil
}

// waits says whether the loss of the service would cost the call its answer.
func (p *call) waits() bool { return p.sent || p.giveUp != nil }
