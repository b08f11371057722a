package job

import "time"

// blameFor is how long a rank that others blame may take to end by itself: its
// own last words say more than those of its peers.
const blameFor = 2 * time.Second

// stopClock says when the workers of this node are asked to end, and when they
// are killed.
//
// What must always hold: they are asked once, and killed only after they were
// asked and the grace has passed; what is due stays due until it was taken.
type stopClock struct {
	grace  time.Duration
	failed bool      // the job cannot succeed
	askAt  time.Time // when to ask the workers to end, if failed
	asked  bool      // they were asked
	killAt time.Time // when to kill them; zero: never, or done
}

// fail notes that the job cannot succeed. While only ranks have ended that
// blame a peer, certain is false: that peer may still be about to say what is
// wrong with it.
func (c *stopClock) fail(now time.Time, certain bool) {
	if !c.failed {
		c.failed, c.askAt = true, now.Add(blameFor)
	}
	if certain {
		c.askAt = now
	}
}

// begin notes that the workers were asked to end, and sets the time to kill
// them.
func (c *stopClock) begin(now time.Time) {
	if !c.asked {
		c.asked, c.killAt = true, now.Add(c.grace)
	}
}

// due tells what has to be done now, and takes it for done.
func (c *stopClock) due(now time.Time) (ask, kill bool) {
	if c.failed && !c.asked && !now.Before(c.askAt) {
		ask = true
		c.begin(now)
	}
	if !c.killAt.IsZero() && now.After(c.killAt) {
		kill = true
		c.killAt = time.Time{}
	}
	return ask, kill
}
