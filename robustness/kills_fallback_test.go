//go:build unix && ipcmgr_fallback

package robustness

// defaultKills is small where the protocols run as on other systems: what is
// different there wakes and watches, and keeps nothing.
const defaultKills = 40
