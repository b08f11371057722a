package simulate

import "time"

// purpose keeps the random numbers of one use apart from those of all others.
type purpose uint64

const (
	ofSchedule purpose = iota + 1
	ofProgram
	ofStep
	ofLatency
	ofGrant
	ofNote
	ofPayload
)

// stream gives the random numbers of a schedule. Each is a function of the seed and
// of what it is for (the link, the number of the frame), and not of how many were
// drawn before: so that what one rank does changes nothing for the others.
type stream uint64

// draw is the number of a purpose and up to a few words that tell uses apart
// (splitmix64's finalizer over each).
func (s stream) draw(p purpose, words ...uint64) uint64 {
	x := mix(uint64(s) ^ uint64(p)*0x9e3779b97f4a7c15)
	for _, w := range words {
		x = mix(x + 0x9e3779b97f4a7c15 ^ w)
	}
	return x
}

func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// within is a time in [0, most).
func within(u uint64, most time.Duration) time.Duration {
	if most <= 0 {
		return 0
	}
	return time.Duration(u % uint64(most))
}
