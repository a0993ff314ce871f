package main

// job asks a worker to hash a file. Paths are bytes: a name need not be valid
// UTF-8.
type job struct {
	N    int    `json:"n"` // the file's number
	Path []byte `json:"path"`
}

// answer is what a worker has to say: first that it is ready, then one for
// each job.
type answer struct {
	Ready bool   `json:"ready,omitempty"`
	N     int    `json:"n"`
	Sum   []byte `json:"sum,omitempty"`
	Size  int64  `json:"size,omitempty"` // bytes that were hashed
	Why   string `json:"why,omitempty"`  // the file could not be read
}

// answered says whether it is one for a job.
func (a *answer) answered() bool { return len(a.Sum) > 0 || a.Why != "" }
