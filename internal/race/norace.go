//go:build !race

// Package race tells the race detector what it cannot see: that what a goroutine
// did before it sent a message comes before what another does that received it,
// though the message went through the kernel or through mapped memory. Without
// the detector it is nothing.
package race

// Release is called before a message is given to the store.
func Release() {}

// Acquire is called after one was taken from it.
func Acquire() {}
