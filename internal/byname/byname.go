// Package byname keeps things by name, for the plug-ins that announce
// themselves when they are imported.
package byname

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Registry holds values of one kind. Its methods may be called concurrently.
type Registry[T any] struct {
	kind, home string
	mu         sync.RWMutex
	byName     map[string]T
}

// New makes a registry; kind and home (an import path's beginning, below which
// each name has a package and "all" imports every one) go into its errors.
func New[T any](kind, home string) *Registry[T] {
	return &Registry[T]{kind: kind, home: home, byName: map[string]T{}}
}

// Add registers v. Two values under one name are a mistake in the program, so
// it panics, as database/sql does.
func (r *Registry[T]) Add(name string, v T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, taken := r.byName[name]; taken {
		panic(fmt.Sprintf("ipcmgr: the %s %q is registered twice", r.kind, name))
	}
	r.byName[name] = v
}

// Unknown is the error about a name that is not registered.
type Unknown struct {
	kind, name, known string
	// Import is the last part of its text, for those who write programs: what
	// to import.
	Import string
}

func (e *Unknown) Error() string {
	return fmt.Sprintf("unknown %s %q: registered are %s%s", e.kind, e.name, e.known, e.Import)
}

// Get returns what is registered under name, or *Unknown.
func (r *Registry[T]) Get(name string) (T, error) {
	r.mu.RLock()
	v, ok := r.byName[name]
	r.mu.RUnlock()
	if ok {
		return v, nil
	}
	names := "none"
	if all := r.Names(); len(all) > 0 {
		names = strings.Join(all, ", ")
	}
	return v, &Unknown{r.kind, name, names, fmt.Sprintf(" (import the package that provides it, such as %q)", r.home+"all")}
}

// Names lists what is registered, sorted.
func (r *Registry[T]) Names() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Sorted(maps.Keys(r.byName))
}
