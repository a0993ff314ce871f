// Package proc runs processes around a store: a parent starts children, each
// of which is a client of the store from the moment Start returns.
//
// A child is a program of its own, whose main calls Main, or a function of the
// same program that was registered with Register and runs in another copy of it:
// Go's replacement for fork. Any other program that connects to the store
// under the id it is given will do too, best one that calls Follow, as the command
// ipcmgr does.
//
// No process is left behind. A child is the first of a process group of its
// own, and what is left of the group when it ends is killed. However the parent
// ends, the kernel closes a pipe of which the child has the reading end: the
// context that Main and Follow give ends within milliseconds, and the group
// within five seconds. For a program that knows nothing of this, a shell in its
// group has such a pipe, and kills the group after these seconds.
// What leaves the group, with setsid as daemons do, ends by itself only; so does, on
// a system without /bin/sh or without process groups, what does not follow.
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

// The causes with which a child's context ends.
const (
	// ErrOrphaned: its parent has ended.
	ErrOrphaned = sentinel("the parent process has ended")
	// ErrReplaced: another process is to take its place, and its mailbox up.
	ErrReplaced = sentinel("another process is to take the place of this one")
)
