package ipctest

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/protocol"
	"github.com/ipcmgr/ipcmgr/serializer"
)

// Store spawns a store for the test. When the test ends, it is shut down,
// unless the test did that itself, and the test fails if a client does not
// leave, if the audit finds a message lost (what Kill explains is no loss), or
// if something is left behind: files, goroutines of this module, descriptors.
//
// Without a route the store is temporary: if the test binary is killed, the
// next Spawn removes it.
func Store(t testing.TB, cfg ipcmgr.Config) *ipcmgr.Store {
	t.Helper()
	counted.enter()
	ctx, cancel := waiting(t)
	defer cancel()
	st, err := ipcmgr.Spawn(ctx, cfg)
	if err != nil {
		counted.leave(t, "")
		t.Fatalf("ipctest: %v", err)
	}
	s := newScene(st)
	t.Cleanup(func() {
		t.Helper()
		s.shutDown(t)
		s.close()
		if s.recording != nil {
			s.recording.close()
		}
		counted.leave(t, st.Info().Route)
		s.finishRecording(t)
	})
	return st
}

// Each runs a subtest with a store for every protocol and serializer that the
// test binary has imported and that can work on this machine.
func Each(t *testing.T, f func(t *testing.T, st *ipcmgr.Store)) {
	t.Helper()
	EachConfig(t, ipcmgr.Config{}, f)
}

// EachConfig is Each with stores of the given configuration, whose protocol and
// serializer it replaces.
func EachConfig(t *testing.T, cfg ipcmgr.Config, f func(t *testing.T, st *ipcmgr.Store)) {
	t.Helper()
	ran := false
	for _, name := range protocol.Names() {
		p, err := protocol.Get(name)
		if err == nil {
			err = p.Viable()
		}
		if err != nil {
			t.Logf("not over %s, which cannot work here: %v", name, err)
			continue
		}
		for _, ser := range serializer.Names() {
			ran = true
			t.Run(name+"+"+ser, func(t *testing.T) {
				cfg := cfg
				cfg.Protocol, cfg.Serializer = ipcmgr.Names{name}, ser
				f(t, Store(t, cfg))
			})
		}
	}
	if !ran {
		t.Fatal("ipctest: there is nothing to run over: import protocol/all and serializer/all, or those that you want")
	}
}

// shutDown ends the store and says what was not as it should be.
func (s *scene) shutDown(t testing.TB) {
	t.Helper()
	if !s.st.Owned() {
		return // the test shut it down, or gave it away
	}
	ctx, cancel := finishing(t)
	defer cancel()
	if err := s.unexcused(s.st.Shutdown(ctx)); err != nil {
		complain(t, "ipctest: the store: %v", err)
	}
	route := s.st.Info().Route
	if _, err := os.Lstat(route); err == nil && filepath.IsAbs(route) {
		complain(t, "ipctest: %s is left behind", route)
	}
}

// unexcused leaves out of the errors of a shutdown what a wanted crash
// explains: that counts are not known, and that messages are lost: where no
// mailbox is kept, or nobody took it up.
func (s *scene) unexcused(err error) error {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var rest []error
		for _, one := range many.Unwrap() {
			rest = append(rest, s.unexcused(one))
		}
		return errors.Join(rest...)
	}
	var audit *ipcmgr.AuditError
	if !errors.As(err, &audit) {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var rest []ipcmgr.Pair
	for _, p := range audit.Pairs {
		switch {
		case p.Verdict == ipcmgr.Unknown && (s.excused[p.From] || s.excused[p.To]):
		case p.Verdict == ipcmgr.Dropped && s.excused[p.To]:
		default:
			rest = append(rest, p)
		}
	}
	if rest == nil {
		return nil
	}
	return &ipcmgr.AuditError{Pairs: rest}
}
