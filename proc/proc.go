// Package proc runs processes around a store: a parent starts children, each
// of which is a client of the store from the moment Start returns.
//
// A child is a program of its own, whose main calls Main, or a function of the
// same program that was registered with Register and runs in another copy of it:
// Go's replacement for fork. Any other program that connects to the store
// under the id it is given will do too.
//
// No process is left behind. A child has the reading end of a pipe that its
// parent holds open. However the parent ends, the kernel closes the pipe, and
// the child's context ends within milliseconds. A child is the first of a process
// group of its own, and what is left of the group when it ends is killed.
//
// Supervise keeps a set of children running: one that crashed is started again
// under its id, takes up its mailbox, and goes on where it was.
package proc

// EnvClient is the environment variable that names the id under which a child
// is to connect. The store is in ipcmgr.EnvStore.
const EnvClient = "IPCMGR_CLIENT"

// These are between proc and itself, and taken out of the environment as soon
// as they were read: they are not meant for the child's own children.
const (
	envParent = "IPCMGR_PARENT" // the pipe, as handDown wrote it
	envFunc   = "IPCMGR_FUNC"   // the name of a registered function
)

type sentinel string

func (s sentinel) Error() string { return string(s) }

// ErrOrphaned is the cause with which a child's context ends when its parent
// has ended.
const ErrOrphaned = sentinel("the parent process has ended")
