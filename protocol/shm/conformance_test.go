//go:build linux && !ipcmgr_fallback

package shm

import (
	"testing"

	"github.com/ipcmgr/ipcmgr/protocol/protocoltest"
)

func TestConformance(t *testing.T) {
	protocoltest.Run(t, protocoltest.Harness{Protocol: Protocol{}, Processes: true})
}
