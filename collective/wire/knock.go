package wire

import (
	"fmt"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	knockName = "Knock"
	// knockAfter leaves the peer time to call on its own, as it does when it makes the
	// same collective call.
	knockAfter = 20 * time.Millisecond
)

// knock asks a higher rank to call, over a connection of its own, which ends with
// the answer. So the lower rank of a pair can send first, too, and yet no two
// ranks ever have two connections.
func (l *link) knock() {
	t := l.t
	wait := time.NewTimer(knockAfter)
	defer wait.Stop()
	select {
	case <-l.opened:
		return
	case <-t.dataCtx.Done():
		return
	case <-wait.C:
	}
	conn, err := t.ends.dial(l.peer)
	if err == nil {
		var s stream
		if s, _, err = t.open(t.dataCtx, t.dataCtx, l, conn, knockName); err == nil {
			s.leave()
		}
		t.part(conn)
	}
	if err != nil {
		l.fail(fmt.Errorf("wire: rank %d asks rank %d at %s to call: %w", t.cfg.Rank, l.peer, t.cfg.Peers[l.peer], err))
	}
}

// acceptKnock is the other end.
func (t *transport) acceptKnock(s incoming) error {
	md := s.asked()
	if err := t.disagreement(md); err != nil {
		return status.Error(codes.FailedPrecondition, err.Error())
	}
	peer, err := strconv.Atoi(one(md, "vgid-rank"))
	if err != nil || peer < 0 || peer >= t.cfg.Rank || one(md, "vgid-to") != strconv.Itoa(t.cfg.Rank) {
		return status.Errorf(codes.FailedPrecondition, "rank %q asks rank %q to call, this is rank %d of %d: check the list of peers",
			one(md, "vgid-rank"), one(md, "vgid-to"), t.cfg.Rank, t.size)
	}
	if err := t.suits(s.certificate(), peer); err != nil {
		return status.Error(codes.FailedPrecondition, err.Error())
	}
	t.Open(peer)
	return s.answer(t.hello())
}
