package roster

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/ipcmgr/ipcmgr/internal/disk"
	"github.com/ipcmgr/ipcmgr/internal/process"
	"github.com/ipcmgr/ipcmgr/protocol"
)

// owner is what the file "owner" says.
type owner struct {
	PID    int    `json:"pid"`
	Start  uint64 `json:"start"`
	Token  string `json:"token"`  // the process's proof of life
	Handle string `json:"handle"` // which of its handles
}

func (o *owner) holder() holder {
	return holder{token: o.Token, id: process.ID{PID: o.PID, Start: o.Start}}
}

// ownership is that of this handle. The file may name another by now, which
// took it by force.
type ownership struct {
	presence *presence
	said     owner
}

func newOwnership(p *presence) *ownership {
	self := process.Self()
	return &ownership{p, owner{PID: self.PID, Start: self.Start, Token: p.token, Handle: rand.Text()}}
}

func (o *ownership) write(dot, tmp disk.Dir, sync bool) error {
	data, err := json.Marshal(&o.said)
	if err != nil {
		return err
	}
	return disk.WriteFile(dot, tmp, "owner", data, sync)
}

// discard gives up that of a store which came to nothing.
func (o *ownership) discard(dot string) {
	if o != nil {
		_ = o.presence.leave(dot)
	}
}

// owner reads who owns the store; nil if nobody does, or the file is none that
// we wrote.
func (r *Roster) owner() (*owner, error) {
	data, err := disk.ReadFile(r.dot, "owner", maxSmall)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, disk.ErrTooLarge) || errors.Is(err, disk.ErrNotRegular) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var o owner
	if json.Unmarshal(data, &o) != nil || !token.MatchString(o.Token) {
		return nil, nil
	}
	return &o, nil
}

// Own makes this handle the owner. ErrOwned while another one lives, unless
// force takes it away.
func (r *Roster) Own(ctx context.Context, force bool) error {
	err := r.Locked(ctx, func() error {
		now, err := r.owner()
		if err != nil {
			return err
		}
		if r.owns(now) {
			return nil
		}
		if now != nil && !force {
			up, _, err := r.lives.alive(now.holder())
			if err != nil {
				return err
			}
			if up {
				return fmt.Errorf("%w: process %d owns %s", protocol.ErrOwned, now.PID, r.route)
			}
		}
		p, err := appear(r.Path())
		if err != nil {
			return err
		}
		own := newOwnership(p)
		err = r.dot.Remove("ending") // the end that another owner did not live to see
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			err = own.write(r.dot, r.records.tmp, r.records.sync)
		}
		if err != nil {
			return errors.Join(err, p.leave(r.Path()))
		}
		return r.setOwnership(own)
	})
	return r.fail(ctx, "own", "", err)
}

// setOwnership replaces what this handle had.
func (r *Roster) setOwnership(own *ownership) error {
	r.mu.Lock()
	before := r.own
	r.own = own
	r.mu.Unlock()
	if before == nil {
		return nil
	}
	return before.presence.leave(r.Path())
}

func (r *Roster) owns(o *owner) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return o != nil && r.own != nil && r.own.said == *o
}

// Owned says whether this handle is the owner, and still is.
func (r *Roster) Owned() bool {
	r.mu.Lock()
	never := r.own == nil
	r.mu.Unlock()
	if never || r.standing() != nil {
		return false
	}
	o, err := r.owner()
	return err == nil && r.owns(o)
}

// Disown leaves the store without an owner, if this handle is it.
func (r *Roster) Disown(ctx context.Context) error {
	err := r.standing()
	if err == nil {
		err = r.disown(ctx)
	}
	return r.fail(ctx, "disown", "", err)
}

func (r *Roster) disown(ctx context.Context) error {
	r.mu.Lock()
	never := r.own == nil
	r.mu.Unlock()
	if never {
		return nil
	}
	err := r.Locked(ctx, func() error {
		o, err := r.owner()
		if err != nil || !r.owns(o) {
			return err
		}
		return r.dot.Remove("owner")
	})
	if err != nil {
		return err
	}
	return r.setOwnership(nil)
}

// End makes every further Enter fail with ErrEnding.
func (r *Roster) End(ctx context.Context) error {
	err := r.Locked(ctx, func() error {
		return disk.WriteFile(r.dot, r.records.tmp, "ending", nil, r.records.sync)
	})
	return r.fail(ctx, "end", "", err)
}

func (r *Roster) ending() (bool, error) {
	_, err := r.dot.Stat("ending")
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
