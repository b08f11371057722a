package train

import (
	"vgid/collective/schedule"
	"vgid/model/optim"
)

// cut gives the elements of n flat parameters to the ranks: of each bucket of the
// gradients, of at most size elements, a rank has the segment that a reduce-scatter
// leaves on it. Whole buckets are alike, so that their segments of a rank are one part.
//
// All ranks' parts are there also where nothing is sharded, and own all: by them the
// norm of the gradients is added up (optim.Part).
func cut(n, size int, s Shard, sharded bool) (parts []optim.Part) {
	size = max(1, min(size, n))
	if s.WorldSize == 1 {
		return []optim.Part{{Len: n, Count: 1, Own: true}}
	}
	add := func(from, bucket, count int) {
		for r := range s.WorldSize {
			lo, hi := schedule.Segment(bucket, s.WorldSize, r)
			parts = append(parts, optim.Part{From: from + lo, Len: hi - lo, Count: count, Stride: bucket, Own: !sharded || r == s.Rank})
		}
	}
	add(0, size, n/size)
	if rest := n % size; rest > 0 {
		add(n-rest, rest, 1)
	}
	return parts
}
