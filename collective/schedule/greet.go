package schedule

// Greet sends an empty message to each of a rank's Links, and receives one of each:
// then they are connected.
func Greet(rank, n int) Plan {
	links := Links(rank, n)
	var steps []Step
	for _, p := range links {
		steps = append(steps, send(p, Blocks{}))
	}
	for _, p := range links {
		steps = append(steps, receive(p, Blocks{}, Copy))
	}
	return newPlan(Dissemination, 0, steps)
}
