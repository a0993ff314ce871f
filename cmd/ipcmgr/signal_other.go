//go:build !unix

package main

import "os"

// The console gives ^C to all its processes, and there is nothing else to
// forward.
var forwarded = []os.Signal{os.Interrupt}

func sentToGroup(os.Signal) bool { return true }

func exitStatus(state *os.ProcessState) int { return state.ExitCode() }
