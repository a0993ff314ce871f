package proc

import (
	"context"
	"math/rand/v2"

	"github.com/ipcmgr/ipcmgr"
)

// hands are what a Supervisor acts with, so that its tests need no processes.
type hands struct {
	launch func(ctx context.Context, spec Spec) (worker, error)
	random func() float64
}

// worker is what a Supervisor needs of a Child.
type worker interface {
	Ready(context.Context) error
	Wait(context.Context) error
	Done() <-chan struct{}
	Stop(context.Context) error
	makeWay(context.Context) error
}

// processes are real hands.
func processes(st *ipcmgr.Store) hands {
	return hands{
		random: rand.Float64,
		launch: func(ctx context.Context, spec Spec) (worker, error) {
			if err := vacant(ctx, st, spec.ID); err != nil {
				return nil, err
			}
			return Launch(ctx, st, spec.ID, spec.Cmd(), spec.Options...)
		},
	}
}

// vacant waits until nobody holds the id: the worker before may be about to
// die, below a wrapper that is dead, or as the child of a parent that is.
func vacant(ctx context.Context, st *ipcmgr.Store, id string) error {
	p, err := st.Peer(ctx, id)
	if err != nil || p.State != ipcmgr.Active {
		return nil // Launch tells what is wrong
	}
	for p, err := range st.Watch(ctx) {
		if err != nil {
			return err
		}
		if p.ID == id && p.State != ipcmgr.Active {
			return nil
		}
	}
	return nil
}
