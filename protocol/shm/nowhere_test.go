//go:build !linux || ipcmgr_fallback

package shm

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr/protocol"
)

// Where there is no shared memory to be had, that is said, and what to use.
func TestNowhere(t *testing.T) {
	p := Protocol{}
	_, spawnErr := p.Spawn(t.Context(), "", protocol.Settings{})
	_, openErr := p.Open(t.Context(), "/dev/shm/none")
	for _, err := range []error{p.Viable(), spawnErr, openErr} {
		require.ErrorIs(t, err, errors.ErrUnsupported)
		require.ErrorContains(t, err, "use the protocol unixsocket or fsqueue")
	}
	routes, err := p.Collect(t.Context())
	require.NoError(t, err)
	require.Empty(t, routes)
}
