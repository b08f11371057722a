package barrier

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"vgid/collective"
)

// Group are the ranks of a run, as one of them sees them.
//
// What must always hold: all ranks call the same methods and functions of a Group in
// the same order, from one goroutine, so that words are never taken for those of
// another call; what decides whether a call ends, and with whose failure, is computed
// from what all ranks exchanged and therefore the same on all; and no call returns
// while work that it began still goes on.
type Group struct {
	comm  *collective.Comm
	opt   Options
	every time.Duration // a rank that works gives a word at least that often
	nodes []string      // of each rank: the name of its node, where it is known
}

// Options of a Group.
type Options struct {
	// Asked ends when this rank is asked to end in order. Its cause is then an
	// *Interrupted. Nil: never.
	Asked context.Context
	// Timeout is that of the communicator's operations; 0 is its default.
	Timeout time.Duration
	// Kept tells, of a run that ends between steps because it was asked to, where
	// it was, what is kept and how it goes on. Nil: it tells nothing.
	Kept func() string
}

// New makes a group of the ranks of a communicator.
func New(comm *collective.Comm, o Options) *Group {
	g := &Group{comm: comm, opt: o, every: mostSilence}
	if o.Timeout > 0 {
		g.every = min(g.every, o.Timeout/4) // a word lost on the way may be late, too
	}
	return g
}

// Rank is this rank's number, from 0 on.
func (g *Group) Rank() int { return g.comm.Rank() }

// Size is the number of ranks.
func (g *Group) Size() int { return g.comm.Size() }

// Comm is the communicator, for operations that have their deadline.
func (g *Group) Comm() *collective.Comm { return g.comm }

// SetNodes says on which node each rank runs, by rank; empty where that is not known.
func (g *Group) SetNodes(names []string) { g.nodes = names }

// Name names a rank in an error, with its node where that is known.
func (g *Group) Name(rank int) string {
	if rank >= len(g.nodes) || g.nodes[rank] == "" {
		return fmt.Sprintf("rank %d", rank)
	}
	return fmt.Sprintf("rank %d (node %s)", rank, g.nodes[rank])
}

// Asked is the signal by which this rank was asked to end, 0 before that.
func (g *Group) Asked() syscall.Signal {
	if g.opt.Asked == nil || g.opt.Asked.Err() == nil {
		return 0
	}
	if i := (*Interrupted)(nil); errors.As(context.Cause(g.opt.Asked), &i) {
		return i.Signal
	}
	return syscall.SIGTERM
}

// AskedBy is the signal by which the lowest rank that was asked to end was asked, 0
// where none was. All ranks call it.
func (g *Group) AskedBy(ctx context.Context) (syscall.Signal, error) {
	all, err := Exchange(ctx, g, g.Asked())
	if err != nil {
		return 0, err
	}
	for _, s := range all {
		if s != 0 {
			return s, nil
		}
	}
	return 0, nil
}

// interrupted is the end of all ranks in a barrier, asked for by s.
func (g *Group) interrupted(s syscall.Signal) *Interrupted {
	i := &Interrupted{Signal: s}
	if g.opt.Kept != nil {
		i.Kept = g.opt.Kept()
	}
	return i
}

// Interrupted is the end of a run that was asked to end. All ranks end with it,
// whichever of them were asked.
type Interrupted struct {
	Signal syscall.Signal // that asked
	Kept   string         // where the run was, what is kept and how it goes on; may be empty
}

func (i *Interrupted) Error() string {
	text := "interrupted (" + unix.SignalName(i.Signal) + ")"
	if i.Kept != "" {
		text += " " + i.Kept
	}
	return text
}

// PeerError is what the other ranks get when one, mostly rank 0, failed at something
// that all wait for.
type PeerError struct {
	Rank int
	Text string
}

func (e *PeerError) Error() string { return fmt.Sprintf("rank %d: %s", e.Rank, e.Text) }
