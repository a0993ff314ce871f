//go:build unix

package unixsocket

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRareTroubleIsCounted(t *testing.T) {
	var r rare
	trouble, now := errors.New("trouble"), time.Now()
	require.Equal(t, trouble, r.tell(trouble, now))
	for range 999 {
		require.NoError(t, r.tell(trouble, now.Add(seldom-1)))
	}
	err := r.tell(trouble, now.Add(seldom))
	require.ErrorIs(t, err, trouble)
	require.EqualError(t, err, "trouble (others that were not told: 999)")
	require.NoError(t, r.tell(trouble, now.Add(seldom+1)))
	require.EqualError(t, r.tell(trouble, now.Add(2*seldom)), "trouble (others that were not told: 1)")
	require.Equal(t, trouble, r.tell(trouble, now.Add(3*seldom)))
}
