package collective_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"vgid/collective"
	"vgid/collective/calltest"
	"vgid/collective/mem"
)

// Any calls in a row, with any type, count, root and way of cutting, among any
// number of ranks, give what plain arithmetic gives.
func TestCallsAgainstArithmetic(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 9).Draw(rt, "ranks")
		opt := collective.Options{
			ChunkBytes: rapid.SampledFrom([]int{8, 64, 1000, 1 << 20}).Draw(rt, "chunk"),
			SmallBytes: rapid.SampledFrom([]int{-1, 100, 1 << 20}).Draw(rt, "small"),
			// Of Auto the short, the middle and the long.
			MiddleBytes: rapid.SampledFrom([]int{-1, 800}).Draw(rt, "middle"),
			Algorithm:   rapid.SampledFrom(collective.Algorithms).Draw(rt, "algorithm"),
		}
		if rapid.Bool().Draw(rt, "several hosts") {
			opt.Hosts = rapid.SliceOfN(rapid.IntRange(0, 3), n, n).Draw(rt, "hosts")
		}
		longest := 1000
		if opt.ChunkBytes == 8 {
			longest = 60 // a frame for each element is slow
		}
		var jobs []calltest.Job
		for range rapid.IntRange(1, 8).Draw(rt, "calls") {
			jobs = append(jobs, calltest.Draw(func(n int, what string) int { return rapid.IntRange(0, n-1).Draw(rt, what) }, n, longest))
		}
		if err := calltest.Check(mem.New(n), opt, jobs); err != nil {
			rt.Fatal(err)
		}
	})
}

// Larger worlds, with every call.
func TestCallsInLargeWorlds(t *testing.T) {
	for _, w := range []struct{ n, small, chunk int }{{13, -1, 64}, {13, 0, 0}, {16, 0, 0}, {33, 0, 0}} {
		calltest.All(t, mem.New(w.n), collective.Options{SmallBytes: w.small, ChunkBytes: w.chunk})
	}
	hosts := slices.Repeat([]int{0, 0, 0, 1, 1, 2}, 3)
	for _, small := range []int{-1, 0} {
		calltest.All(t, mem.New(len(hosts)), collective.Options{SmallBytes: small, ChunkBytes: 64, Hosts: hosts})
	}
}

// A reduce-scatter has the bits of an all-reduce, whatever the ways of both are, and
// however they travel.
func TestPartsHaveTheBitsOfTheWhole(t *testing.T) {
	for _, n := range []int{2, 3, 4, 5} {
		all := ways(n)
		all["doubling"] = collective.Options{Algorithm: collective.Doubling}
		for _, way := range []string{"ring", "rabenseifner", "hosts"} {
			opt := all[way]
			opt.Wire = collective.TypeBF16
			all[way+" as bf16"] = opt
		}
		for way, opt := range all {
			opt.ChunkBytes = 4 << 20
			if err := first(world(t, n, opt, nil, calltest.Agree)); err != nil {
				t.Errorf("%s: %v", way, err)
			}
		}
	}
}

// The ways for short buffers, with buffers so long that ranks send and receive at
// the same time.
func TestShortWaysWithLongBuffers(t *testing.T) {
	for _, n := range []int{2, 3, 5} {
		var jobs []calltest.Job
		for i, call := range []collective.Call{collective.CallAllReduce, collective.CallReduceScatter, collective.CallAllGather,
			collective.CallReduce, collective.CallBroadcast, collective.CallAllToAll} {
			j := calltest.Job{Call: call, DType: calltest.Types[i], Op: calltest.Ops[i%len(calltest.Ops)], Count: 40_001, Root: i % n}
			if call == collective.CallAllToAll {
				j.Count /= n
			}
			jobs = append(jobs, j)
		}
		if err := calltest.Check(mem.New(n), collective.Options{SmallBytes: 4 << 20, ChunkBytes: 4 << 20}, jobs); err != nil {
			t.Fatal(err)
		}
	}
}
