//go:build !unix

package main

import "github.com/ipcmgr/ipcmgr/internal/measure"

// sqliteLanes are none: their bell is written for Unix.
func sqliteLanes() []measure.Lane { return nil }
