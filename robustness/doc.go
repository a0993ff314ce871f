// Package robustness has only tests: what ipcmgr promises about crashes,
// hostile input and bounded use, put to the test from outside, over the public
// API and with real processes. SAFETY.md says which test holds which promise.
package robustness
