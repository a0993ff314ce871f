//go:build unix && !ipcmgr_fallback

package robustness

// defaultKills is how many each protocol survives in CI.
const defaultKills = 200
