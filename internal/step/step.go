// Package step has names for the points between any two steps that other
// processes could see, so that tests can end or stop a process at each.
package step

// On is called at each point with its name, unless it is nil. Who sets it does
// so while nothing else is under way.
var On func(name string)

// Here is a point.
func Here(name string) {
	if On != nil {
		On(name)
	}
}
