package measure

// Shape is how messages are moved in one turn of a lane.
type Shape string

// The shapes.
const (
	Send  Shape = "send"  // one way, one by one
	Batch Shape = "batch" // one way, BatchSize at a time
	Crowd Shape = "crowd" // one way, one by one, by CrowdSize goroutines of one end
	Trip  Shape = "trip"  // there and back
	Idle  Shape = "idle"  // there and back, after IdleFor in which nothing happens
)

// What the shapes are made of.
const (
	BatchSize = 100
	CrowdSize = 64
	IdleFor   = 10 // milliseconds
)

// trips says whether each message is answered.
func (s Shape) trips() bool { return s == Trip || s == Idle }

// batch is how many messages are sent at a time.
func (s Shape) batch() int {
	if s == Batch {
		return BatchSize
	}
	return 1
}

// Placement is on which processors the processes of a lane run.
type Placement string

// The placements. A server runs on the processors of both ends.
const (
	Free Placement = "free" // wherever the system puts them
	One  Placement = "one"  // all on one processor
	Two  Placement = "two"  // each end on one of its own
)

// Row is one lane under one set of conditions.
type Row struct {
	Lane      string    `json:"lane"`
	Size      int       `json:"size"`                // bytes of a message
	Kept      bool      `json:"kept"`                // the reader keeps each message in memory of its own, and does not reuse it
	Placement Placement `json:"placement,omitempty"` // empty: Free
	Dir       string    `json:"dir,omitempty"`       // where the lane's files are; empty: where temporary files are
}
