package main

import (
	"fmt"
	"os"
	"slices"

	"github.com/ipcmgr/ipcmgr/internal/measure"
	"github.com/ipcmgr/ipcmgr/internal/measure/lanes"
	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/ipcmgr/ipcmgr/serializer"
)

// others are the lanes that are not ours.
func others() []measure.Lane {
	return slices.Concat(
		[]measure.Lane{measure.RawUnix()}, ringLanes(),
		[]measure.Lane{natsLane(), jetstreamLane(), zmqLane(), rpcLane()}, sqliteLanes(),
		[]measure.Lane{filesLane(), boltLane(false), boltLane(true)},
	)
}

// lanesHere lists all that work here.
func lanesHere() []measure.Lane {
	all := others()
	for _, name := range protocol.Names() {
		p, err := protocol.Get(name)
		if err == nil {
			err = p.Viable()
		}
		if name == "mem" { // lives in one process
			continue
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "bench: %s is left out: %v\n", name, err)
			continue
		}
		for _, ser := range serializer.Names() {
			stores, err := lanes.Stores(name, ser)
			if err != nil {
				fatal(err) // it was listed
			}
			for _, s := range stores {
				l, err := s.Lane()
				if err != nil {
					fatal(err) // it was listed
				}
				all = append(all, l)
			}
		}
	}
	return all
}

// find gives a lane by its name.
func find(name string) (measure.Lane, error) {
	for _, l := range others() {
		if l.Name == name {
			return l, nil
		}
	}
	return lanes.Find(name)
}
