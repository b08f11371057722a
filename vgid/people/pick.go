package people

import "math/rand/v2"

// pick is one member of a pool, all equally likely.
func pick(r *rand.Rand, pool []string) string { return pool[r.IntN(len(pool))] }

// sampleOthers draws n distinct members of pool that differ from not.
// It returns fewer when the pool holds fewer.
// The whole pool is permuted whatever n is, so that the stream goes on alike.
func sampleOthers(r *rand.Rand, pool []string, not string, n int) []string {
	out := make([]string, 0, n)
	for _, i := range r.Perm(len(pool)) {
		if len(out) == n {
			break
		}
		if pool[i] != not {
			out = append(out, pool[i])
		}
	}
	return out
}
