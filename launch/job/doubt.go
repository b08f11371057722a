package job

import (
	"maps"
	"slices"
	"time"
)

// How long a member that gossip calls dead has to show itself alive: where its
// machine takes a connection, the agent may only be slow.
const (
	confirmFor = 5 * time.Second
	reachFor   = 2500 * time.Millisecond
	watchedFor = time.Minute // where the launcher sees to it
	repeatPing = 500 * time.Millisecond
)

// Why a member was given up, in the words of a Cause.
const (
	noAnswer    = "its agent does not answer"
	gone        = "its agent is gone"
	left        = "its agent left the job"
	anotherLife = "its agent was started again"
)

// suspicion is that a member is dead.
type suspicion struct {
	since    time.Time     // its latest word, or gossip's that it is dead
	answered bool          // it has said something since gossip called it dead
	allowed  time.Duration // more than usual, for it to object
	reached  bool          // its machine has taken a connection since
	pingedAt time.Time
}

// doubts holds the members that gossip calls dead. Trainers keep all cores
// busy, and an agent that was not scheduled for a few seconds is not dead; so
// each has the chance to object, before and after the view is agreed on.
//
// What must always hold: a member in doubt is asked every repeatPing until it
// is given up or gossip sees it alive again, for gossip calls it dead once, and
// not again if it is true; and time in which this process itself stood still
// does not count.
type doubts struct {
	watched bool // the launcher sees for itself whether the agents live
	of      map[string]suspicion
}

// raise begins to doubt a member; one that is in doubt stays as it is.
func (d *doubts) raise(id string, now time.Time) {
	if _, ok := d.of[id]; !ok {
		d.of[id] = suspicion{since: now}
	}
}

// drop ends the doubt in a member.
func (d *doubts) drop(id string) { delete(d.of, id) }

// answered takes a word of a member for a sign of life. As long as gossip calls
// it dead, it is asked on.
func (d *doubts) answered(id string, now time.Time) {
	if s, ok := d.of[id]; ok {
		d.of[id] = suspicion{since: now, answered: true, pingedAt: s.pingedAt}
	}
}

// reached notes that a member's machine took a connection.
func (d *doubts) reached(id string) {
	if s, ok := d.of[id]; ok {
		s.reached = true
		d.of[id] = s
	}
}

// silent reports whether a member is in doubt and has said nothing since.
func (d *doubts) silent(id string) bool {
	s, ok := d.of[id]
	return ok && !s.answered
}

// allow gives those in doubt the time again that this process itself stood
// still: what they answered meanwhile has not been read yet.
func (d *doubts) allow(pause time.Duration) {
	for id, s := range d.of {
		s.allowed += pause
		d.of[id] = s
	}
}

// allowance is how long a member may be silent.
func (d *doubts) allowance(s suspicion) time.Duration {
	switch {
	case d.watched:
		return watchedFor + s.allowed
	case s.reached:
		return confirmFor + s.allowed
	}
	return reachFor + s.allowed
}

// overdue lists the members that had the time to answer, and when each was
// last heard of.
func (d *doubts) overdue(now time.Time) (ids []string, since []time.Time) {
	for _, id := range slices.Sorted(maps.Keys(d.of)) {
		if s := d.of[id]; now.Sub(s.since) > d.allowance(s) {
			ids, since = append(ids, id), append(since, s.since)
		}
	}
	return ids, since
}

// ask lists the members to be asked for a sign of life now.
func (d *doubts) ask(now time.Time) (ids []string) {
	for _, id := range slices.Sorted(maps.Keys(d.of)) {
		if s := d.of[id]; now.Sub(s.pingedAt) >= repeatPing {
			s.pingedAt = now
			d.of[id] = s
			ids = append(ids, id)
		}
	}
	return ids
}
