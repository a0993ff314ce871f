//go:build race

package race

import "sync/atomic"

var before atomic.Uint64

// Release is called before a message is given to the store.
func Release() { before.Add(1) }

// Acquire is called after one was taken from it.
func Acquire() { before.Load() }
