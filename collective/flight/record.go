package flight

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	"vgid/collective/frame"
)

// version is that of the form of records.
const version = 1

// Record is what a rank knows of its calls, and of the other ranks, at the moment
// when its communicators fail. It is written as JSON.
type Record struct {
	Version int    `json:"version"`
	Job     string `json:"job"`
	Epoch   uint64 `json:"epoch"` // generation of the set of ranks
	World   int    `json:"world"` // ranks of the job
	Rank    int    `json:"rank"`
	// Cause is why the record was taken, in this rank's words; Blames the rank that
	// these name, or NoRank.
	Cause  string `json:"cause"`
	Blames int    `json:"blames"`
	// Taken is the time of this rank's clock, for people.
	Taken         time.Time      `json:"taken"`
	Communicators []Communicator `json:"communicators"`
	Forgotten     uint64         `json:"forgotten"` // calls before the oldest
	// Calls are the last that have ended, in the order of their ends, then those
	// that have not.
	Calls []Call     `json:"calls"`
	Heard []Sighting `json:"heard"` // of the other ranks, by their signs of life
}

// Communicator is one that the rank is in.
type Communicator struct {
	Number uint32 `json:"number"` // within the job
	Ranks  []int  `json:"ranks"`  // by their numbers in the job
	// Call is the number of the latest call; In says that it has not ended.
	Call uint64 `json:"call"`
	In   bool   `json:"in"`
	Left bool   `json:"left"` // the rank has closed it
}

// State is how far a call has come.
type State string

// The states. A message is Waiting when somebody waits for it to end, and Running
// otherwise: it was begun, and the rank does something else meanwhile. There is none
// for calls that failed: those are the ones that are open in the record, which is
// taken before they learn of it.
const (
	Queued  State = "queued"
	Running State = "running"
	Waiting State = "waiting" // for the rank of WaitsFor
	Done    State = "ended"
)

// Open reports whether the call has not ended.
func (s State) Open() bool { return s != Done }

// Call is one call of a rank. Numbers of ranks are those in the job, but of Root,
// which is as the caller gave it; NoRank is none.
type Call struct {
	Comm uint32 `json:"communicator"`
	// Number counts the calls of a communicator, and of messages those from one rank
	// to another; 0: not known yet.
	Number    uint64 `json:"number"`
	Call      string `json:"call"`
	Type      string `json:"type,omitempty"`
	Count     uint64 `json:"count"` // elements
	Op        string `json:"op,omitempty"`
	Root      int64  `json:"root"`
	Tag       int64  `json:"tag"`
	Peer      int    `json:"peer"` // of a message
	Algorithm string `json:"algorithm,omitempty"`
	State     State  `json:"state"`
	WaitsFor  int    `json:"waits_for"`
	// Began is seconds before the record was taken, Took the seconds until the end,
	// or so far.
	Began    float64 `json:"began_s"`
	Took     float64 `json:"took_s"`
	Sent     uint64  `json:"bytes_sent"`
	Received uint64  `json:"bytes_received"`
	// The rank that the call waited for longest, and how long.
	LongestFor int     `json:"waited_longest_for"`
	Longest    float64 `json:"waited_s"`
	// Key is equal for calls that all ranks make in the same way.
	Key string `json:"same,omitempty"`
}

// Sighting is where another rank was in a communicator when it was last heard of,
// by its signs of life, which may have come by way of others.
type Sighting struct {
	Rank int     `json:"rank"`
	Age  float64 `json:"age_s"` // seconds before the record was taken
	Left bool    `json:"left"`  // it had said goodbye
	Comm uint32  `json:"communicator"`
	Call string  `json:"call,omitempty"`
	// Number is that of its latest call; In says that this had not ended.
	Number uint64 `json:"number"`
	In     bool   `json:"in"`
}

// Describe fills in what a header says of a call.
func (c *Call) Describe(h *frame.Header) {
	c.Comm, c.Number, c.Call = h.Comm, h.Seq, h.Call.String()
	c.Root, c.Tag = NoRank, NoRank
	c.Type, c.Count = h.DType.String(), h.Count
	if h.Call.Is(frame.Reducing) {
		c.Op = h.Reduce.String()
	}
	switch {
	case h.Call.Is(frame.Tagged):
		if h.Root != math.MaxUint32 { // a Recv of any
			c.Tag = int64(h.Root)
		}
		return // messages have no plan, and nobody makes the same one
	case h.Call.Is(frame.FromRoot):
		c.Root = int64(h.Root)
	case h.Call == frame.CallBarrier:
		c.Type = ""
	}
	if h.Seq == 0 {
		return // it has not begun
	}
	c.Algorithm = h.Algorithm.String()
	whole := h.Whole()
	c.Key = fmt.Sprintf("%x", whole.AppendTo(nil)[frame.HeaderSize-4:]) // the checksum
}

// Of makes a call of a record of one that has ended; now is when the record is
// taken.
func Of(e *Ended, now time.Duration) Call {
	c := Call{Peer: int(e.Peer), State: Done, WaitsFor: NoRank, Began: Seconds(now - e.Began), Took: Seconds(e.End - e.Began),
		Sent: e.Sent, Received: e.Received, LongestFor: int(e.LongestFor), Longest: Seconds(e.Longest)}
	c.Describe(&e.Header)
	return c
}

// Seconds are rounded to microseconds, which keeps records short.
func Seconds(d time.Duration) float64 { return d.Round(time.Microsecond).Seconds() }

// Name is that of the file that a rank's record is in.
func Name(rank int) string { return fmt.Sprintf("rank%d.calls.json", rank) }

// JSON is the record as it is written. It fills in the version.
func (r Record) JSON() ([]byte, error) {
	r.Version = version
	b, err := json.Marshal(r)
	return append(b, '\n'), err
}
