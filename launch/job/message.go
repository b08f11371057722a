package job

import (
	"syscall"
	"time"

	"vgid/launch"
	"vgid/launch/relay"
	"vgid/launch/view"
)

// Message is what agents say to each other; one field is set. The zero Message
// stands for one that could not be read: a sign of life, and no more.
type Message struct {
	View  *view.Message          `json:"view,omitempty"`
	Relay *relay.Message[Report] `json:"relay,omitempty"`
	Ping  bool                   `json:"ping,omitempty"`  // asks for a sign of life
	Alive bool                   `json:"alive,omitempty"` // answers Ping
}

// Report is everything an agent has to say about its node; a later one
// contains the earlier ones.
type Report struct {
	Exits  []Exit `json:"exits,omitempty"`
	Signal int    `json:"signal,omitempty"` // somebody interrupted the job here with it
	Kill   bool   `json:"kill,omitempty"`   // ... and did so again
	Silent []int  `json:"silent,omitempty"` // nodes that this one does not hear
	Cuts   []Cut  `json:"cuts,omitempty"`   // links between two others that this one has judged
	Losses []Loss `json:"losses,omitempty"` // nodes that this one has given up
}

// Effect is what the agent has to do; exactly one field is set. Effects are
// carried out in their order.
type Effect struct {
	Send   *Send
	Begin  *view.View // start this node's workers, at most once
	Signal *Signal
	Notice *launch.Notice // tell this node's workers
	End    *End           // at most once, and the last
}

// Send asks for a message to be delivered. It may get lost: who needs it sent
// repeats it.
type Send struct {
	To     string // member ID
	Addr   string // host:port of its agent
	Msg    Message
	Packet bool // in one packet, of which nobody needs to hear whether it arrived
	// Silent says that nothing is heard of the receiver: nobody should wait until
	// it takes the message.
	Silent bool
}

// Signal asks for workers of this node to be signalled.
type Signal struct {
	Signal syscall.Signal
	Rank   int           // AllRanks, or one
	Pass   bool          // it does not ask them to end
	Stood  time.Duration // the rank stands still for so long, and is killed for it
}

// AllRanks in a Signal are all workers of this node that run.
const AllRanks = -1

// End says that this agent has nothing more to do or to hear.
type End struct {
	Outcome Outcome
	Err     error // the job did not start
}
