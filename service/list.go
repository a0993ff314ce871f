package service

import (
	"context"
	"slices"
	"strings"

	"github.com/ipcmgr/ipcmgr"
)

// The attributes that a service publishes about itself.
const (
	AttrMethods = "service"         // its methods, sorted, with commas between; "*" is a catch-all
	AttrMailbox = "service.mailbox" // random; stays for as long as the mailbox does
	AttrDurable = "service.durable" // there if it is Durable
)

// catchAllName stands for the catch-all among the methods.
const catchAllName = "*"

// Listed is a service of a store as others see it.
type Listed struct {
	ipcmgr.Peer
	Methods []string
	Durable bool
}

// List gives the services of a store, ordered by id. Perl services are not in
// it: they do not say that they are some.
func List(ctx context.Context, st *ipcmgr.Store) ([]Listed, error) {
	peers, err := st.Peers(ctx)
	if err != nil {
		return nil, err
	}
	var list []Listed
	for _, p := range peers {
		methods, ok := p.Attrs[AttrMethods]
		if !ok {
			continue
		}
		split := strings.FieldsFunc(methods, func(r rune) bool { return r == ',' })
		if split == nil {
			split = []string{}
		}
		slices.Sort(split)
		list = append(list, Listed{p, split, p.Attrs[AttrDurable] != ""})
	}
	return list, nil
}
