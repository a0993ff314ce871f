//go:build !unix

package main

import "os"

// terminalWidth is how many columns a terminal has, or 0 if f is none. Not all
// consoles understand what draws a bar, so there is none.
func terminalWidth(*os.File) int { return 0 }
