// Package schedule holds the communication schedules of the collectives as pure
// functions: who sends which blocks to whom at which step. Nothing here moves
// data, so every schedule can be simulated for any number of ranks.
//
// The rings follow Patarasuk and Yuan (2009): a reduce-scatter and an all-gather
// around a ring move 2·(n-1)/n of the data through every link, which is the least
// possible. Recursive doubling and halving and the binomial trees need about
// log2(n) steps instead (Thakur, Rabenseifner and Gropp, 2005), and so do Bruck's
// all-gather and all-to-all (Bruck and others, 1997) where n is no power of two.
// The barrier is a dissemination (Hensgen, Finkel and Manber, 1988). Rabenseifner's
// all-reduce (2004) has as few steps as the doubling, twice, and as few bytes as the ring.
// Where ranks share hosts, the hierarchical schedules send between hosts no more than
// one rank of each would.
//
// Begin reading at Plan; ring.go is the shortest example of making one.
package schedule

import "fmt"

// Algorithm names a way to make a plan. The numbers go over the wire: new ones
// come last.
type Algorithm uint8

// Algorithms.
const (
	Ring Algorithm = iota
	Doubling
	Halving
	Bruck
	BinomialTree
	Pipeline // the chain
	Pairwise
	Dissemination
	Rabenseifner     // the halving, then the same steps back as an all-gather
	Hierarchical     // within hosts, and between them by their ring or chain
	HierarchicalTree // the same in few steps: a tree in each host, their first ranks by doubling
	endAlgorithm
)

// Valid reports whether this program knows the algorithm.
func (a Algorithm) Valid() bool { return a < endAlgorithm }

func (a Algorithm) String() string {
	if a.Valid() {
		return [...]string{"ring", "doubling", "halving", "bruck", "tree", "chain", "pairwise", "dissemination",
			"rabenseifner", "hierarchical", "hierarchical tree"}[a]
	}
	return fmt.Sprintf("algorithm(%d)", uint8(a))
}

// Segment gives the half-open range of the i-th of n nearly equal parts of
// count elements. The first count%n parts are one element longer; parts may be
// empty.
func Segment(count, n, i int) (lo, hi int) {
	size, longer := count/n, count%n
	lo = i*size + min(i, longer)
	hi = lo + size
	if i < longer {
		hi++
	}
	return lo, hi
}

// Blocks names blocks of a buffer: Count of them from First on, around the end of
// the buffer. With Bit only those whose number has that bit, of a power of two.
type Blocks struct{ First, Count, Bit int }

// one is a single block.
func one(i int) Blocks { return Blocks{First: i, Count: 1} }

// In lists the blocks of a buffer of n blocks, in the order in which they travel.
func (b Blocks) In(n int) []int {
	out := make([]int, 0, b.Count)
	for k := range b.Count {
		if i := (b.First + k) % n; b.Bit == 0 || i&b.Bit != 0 {
			out = append(out, i)
		}
	}
	return out
}

// Action is what happens to blocks that are received.
type Action uint8

// Actions.
const (
	Copy    Action = iota // they replace the rank's own
	Combine               // they are reduced with the rank's own
	Finish                // the same, and the result is that of all ranks
)

// None is the peer of a step that does not send, or does not receive.
const None = -1

// Step is one step of a rank: blocks that it sends to one peer and blocks that it
// receives from another, or the same, at the same time. A message without blocks
// only tells that the sender has come so far.
type Step struct {
	To, From   int
	Send, Recv Blocks
	Action     Action

	// After is the latest step whose receiving must have ended before this step
	// sends, -1 for none. If Stream, piece j of the message may go as soon as piece j
	// of that step came in: they are the same blocks.
	After  int
	Stream bool
	// Swap says that the step receives what it sends: it sends a copy. When it
	// combines, the partial result of the lower rank comes first, so that both ranks
	// of a swap compute the same bits.
	Swap bool
}

// Plan is what one rank does in one operation.
//
// What must hold for the plans of all ranks together, and is tested by playing
// them:
//   - they end, though no link stores more than one message, whether a rank sends
//     beside receiving (waiting for After alone) or takes its steps in order, in
//     each first sending and then receiving;
//   - a block that was sent, and not as a copy, is written again only by a message
//     whose sender knew, through whatever way, that the block had arrived: so
//     memory that a transport reads from is not written;
//   - each element is combined in the same order on all ranks that compute it.
type Plan struct {
	Algorithm Algorithm
	Blocks    int // that the buffer is cut into
	Steps     []Step
	// Parts, in plans with a block for each rank, are the ranks whose parts the blocks are,
	// so that what travels together is numbered in a row; nil: block i is that of rank i.
	Parts []int
}

// Part is the rank whose part a block is, in plans with a block for each.
func (p *Plan) Part(block int) int {
	if p.Parts == nil {
		return block
	}
	return p.Parts[block]
}

// newPlan works out what each step has to wait for.
func newPlan(a Algorithm, blocks int, steps []Step) Plan {
	wrote := make([]int, blocks) // the last step that received a block
	for i := range wrote {
		wrote[i] = -1
	}
	received := -1
	for i := range steps {
		s := &steps[i]
		s.After = -1
		if s.To != None {
			if s.Send.Count == 0 {
				s.After = received
			}
			for _, b := range s.Send.In(blocks) {
				s.After = max(s.After, wrote[b])
			}
			s.Stream = s.Send.Count > 0 && s.After >= 0 && steps[s.After].Recv == s.Send
		}
		if s.From == None {
			continue
		}
		s.Swap = s.To != None && s.Send.Count > 0 && s.Send == s.Recv
		received = i
		for _, b := range s.Recv.In(blocks) {
			wrote[b] = i
		}
	}
	return Plan{Algorithm: a, Blocks: blocks, Steps: steps}
}

// send and receive are steps that do only one of the two.
func send(to int, b Blocks) Step { return Step{To: to, From: None, Send: b} }

func receive(from int, b Blocks, a Action) Step {
	return Step{To: None, From: from, Recv: b, Action: a}
}

// swap exchanges the same blocks with a peer.
func swap(peer int, b Blocks, a Action) Step {
	return Step{To: peer, From: peer, Send: b, Recv: b, Action: a}
}

func wrap(i, n int) int { return ((i % n) + n) % n }

// PowerOfTwo reports whether the ranks of n ranks can be halved to the end.
func PowerOfTwo(n int) bool { return n&(n-1) == 0 }
