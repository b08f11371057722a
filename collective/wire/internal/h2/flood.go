package h2

import "time"

const (
	// minRaise is the least credit that does not count as nothing.
	minRaise = 4 << 10
	// burst and perSecond bound the frames that carry nothing: a peer that sends more
	// of them only makes this end work.
	burst     = 10_000
	perSecond = 1000
)

// bucket counts frames that carry nothing: burst at once, perSecond in the long run.
type bucket struct {
	left int
	last time.Time
}

func (b *bucket) take() error {
	if b.left == 0 {
		now := time.Now()
		b.left = int(min(now.Sub(b.last).Seconds()*perSecond, burst))
		b.last = now
	}
	if b.left == 0 {
		return violation(codeFlood, "too many frames that carry nothing")
	}
	b.left--
	return nil
}
