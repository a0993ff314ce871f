//go:build !unix

package robustness

// litterSpecial: there are no such things here.
func litterSpecial(*world, string) {}
