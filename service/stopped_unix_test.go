//go:build unix

package service_test

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/service"
)

// A service is killed and back under its name before its caller looks: where it
// has its mailbox still, it answers; otherwise the call fails.
func TestBackBeforeTheCallerLooks(t *testing.T) {
	eachProcess(t, func(t *testing.T, st *ipcmgr.Store) {
		kid := start(t, st, "durable")
		published := func(pid int) {
			require.NoError(t, st.WaitUntil(testContext(t), func(peers []ipcmgr.Peer) bool {
				for _, p := range peers {
					if p.PID == pid && p.State == ipcmgr.Active && p.Attrs[service.AttrMethods] != "" {
						return true
					}
				}
				return false
			}))
		}
		published(kid.Process.Pid)
		asker := start(t, st, "asker")
		require.Equal(t, "got it", kid.line(t))
		require.NoError(t, asker.Process.Signal(syscall.SIGSTOP))
		require.NoError(t, kid.Process.Kill())
		kid.Wait()
		awaitTick(t)
		kid = start(t, st, "durable", "IPCMGR_ANSWER=yes")
		published(kid.Process.Pid)
		_, err := service.Call[any](testContext(t), caller(t, st, "me"), "svc", service.PingMethod, nil)
		require.NoError(t, err) // it serves, and so has published what it is
		require.NoError(t, asker.Process.Signal(syscall.SIGCONT))
		if st.Features().Redelivers {
			require.Equal(t, "true false", asker.line(t))
		} else {
			require.Equal(t, "false true", asker.line(t))
		}
		require.NoError(t, asker.Wait())
		require.NoError(t, st.Terminate(testContext(t)))
		require.NoError(t, kid.Wait())
	})
}
