package service

import (
	"reflect"
	"sync"

	"github.com/ipcmgr/ipcmgr"
)

// callers has the Caller of each client: two on one client would take each
// other's answers and messages.
var callers = register{byClient: map[ipcmgr.Client]*Caller{}}

type register struct {
	mu       sync.Mutex
	byClient map[ipcmgr.Client]*Caller
}

// of gives the Caller of a client, new if it has none.
func (r *register) of(c ipcmgr.Client) *Caller {
	if !reflect.ValueOf(c).Comparable() { // a wrapper by value: nobody can tell it from another
		return newCaller(c)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byClient[c] == nil {
		r.byClient[c] = newCaller(c)
	}
	return r.byClient[c]
}

func (r *register) forget(made *Caller) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if reflect.ValueOf(made.Client).Comparable() && r.byClient[made.Client] == made {
		delete(r.byClient, made.Client)
	}
}
