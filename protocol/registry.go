package protocol

import "github.com/ipcmgr/ipcmgr/internal/byname"

var known = byname.New[Protocol]("protocol", "github.com/ipcmgr/ipcmgr/protocol/")

// Register makes a protocol known under its name; a protocol's package does it
// when it is imported. It panics when the name is taken.
func Register(p Protocol) { known.Add(p.Name(), p) }

// Get returns a registered protocol. Its error lists those that are registered
// and says what to import.
func Get(name string) (Protocol, error) { return known.Get(name) }

// Names lists the registered protocols, sorted.
func Names() []string { return known.Names() }
