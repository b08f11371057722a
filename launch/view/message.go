package view

// Kind says what a Message is about.
type Kind string

// The messages of the agreement.
const (
	Propose Kind = "propose" // coordinator to members: this view?
	Ack     Kind = "ack"     // member to coordinator: bound to it until you commit, abort or die
	Nack    Kind = "nack"    // member to coordinator: not that view, and I have seen Epoch
	Commit  Kind = "commit"  // coordinator to members: all are bound, it holds
	Abort   Kind = "abort"   // coordinator to members: it will never hold
	Reject  Kind = "reject"  // running job to a stranger: there is no place
)

// Message travels between members. It may be lost, repeated and overtaken.
type Message struct {
	Kind   Kind   `json:"kind"`
	Epoch  uint64 `json:"epoch"`            // of the view meant; in a Nack the highest epoch seen
	Digest string `json:"digest,omitempty"` // of the view meant
	View   *View  `json:"view,omitempty"`   // Propose only
	Nodes  int    `json:"nodes,omitempty"`  // Reject only: of the job that runs
}

// Effect is what the driver has to do; exactly one field is set.
type Effect struct {
	Send      *Send
	Committed *View   // start the workers; happens at most once
	Failed    error   // this agent cannot take part; happens at most once, and is the end
	Doubted   *Member // a member of the committed view was reported down
	Lost      *Member // a member of the committed view does not take part in it
}

// Send asks for a message to be delivered.
type Send struct {
	To  string // member ID
	Msg Message
}
