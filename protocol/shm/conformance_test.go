//go:build linux && !ipcmgr_fallback

package shm_test

import (
	"testing"

	"github.com/ipcmgr/ipcmgr/protocol/protocoltest"
	"github.com/ipcmgr/ipcmgr/protocol/shm"
)

func TestConformance(t *testing.T) {
	protocoltest.Run(t, protocoltest.Harness{Protocol: shm.Protocol{}, Processes: true})
}
