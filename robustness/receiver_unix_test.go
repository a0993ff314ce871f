//go:build unix

package robustness

import (
	"context"
	"errors"
	"fmt"

	"github.com/ipcmgr/ipcmgr"
)

// receiveAll receives until it is told to leave.
func (p *player) receiveAll() error {
	h := p.right
	for p.receiveCtx.Err() == nil {
		var ms []*ipcmgr.Message
		err := h.at(fetching, func() (err error) {
			ms, err = p.client.Poll(context.Background(), 1+h.rand.IntN(40))
			return err
		})
		if err == nil && len(ms) == 0 {
			var m *ipcmgr.Message
			if m, err = p.client.Receive(p.receiveCtx); err == nil {
				ms = append(ms, m)
			}
		}
		if errors.Is(err, errLeave) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := p.take(h, ms); err != nil {
			return err
		}
		if len(p.To) == 0 {
			if err := errors.Join(p.publish(h), p.rest(h)); err != nil {
				return err
			}
		}
	}
	return nil
}

// take notes messages, and acknowledges them where that is the player's
// business.
func (p *player) take(h hand, ms []*ipcmgr.Message) error {
	letters := make([]letter, len(ms))
	for n, m := range ms {
		var err error
		if letters[n], err = open(m); err != nil {
			return err
		}
		p.noteGot(m, letters[n])
	}
	err := p.j.flush()
	if err != nil || !p.manual() {
		return err
	}
	for n, m := range ms {
		if err := h.at(acknowledging, func() error { return m.Ack(context.Background()) }); err != nil {
			return err
		}
		p.j.note("acked", p.Life, letters[n].From, letters[n].Life, letters[n].Seq)
	}
	return p.j.flush()
}

// handle takes a message in while the client disconnects, and so acknowledges
// by itself.
func (p *player) handle(m *ipcmgr.Message) error {
	l, err := open(m)
	if err != nil {
		return err
	}
	p.noteGot(m, l)
	return p.j.flush()
}

func (p *player) noteGot(m *ipcmgr.Message, l letter) {
	p.j.note("got", p.Life, l.From, l.Life, l.Seq, m.Redelivered)
}

func open(m *ipcmgr.Message) (letter, error) {
	var l letter
	if err := m.Decode(&l); err != nil {
		return l, err
	}
	if l.Sum != l.sum() || l.From != m.From || l.To != m.To {
		return l, fmt.Errorf("%v was altered: it says that it is %d of life %d from %q to %q", m, l.Seq, l.Life, l.From, l.To)
	}
	return l, nil
}
