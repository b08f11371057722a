package flight

import (
	"strings"
	"testing"
	"time"

	"vgid/collective/frame"
	"vgid/collective/reduce"
)

// at is an operation of the communicator of the whole job, or of another.
func at(call frame.Call, number uint64, state State, took float64) Call {
	h := frame.Header{Call: call, DType: reduce.F32, Count: 1048576, Seq: number}
	if call == frame.CallBarrier {
		h.DType, h.Count = reduce.Bytes, 0
	}
	c := Of(&Ended{Header: h, Peer: NoRank, LongestFor: NoRank}, 0)
	c.State, c.Took, c.Began = state, took, took
	return c
}

func in(comm uint32, c Call) Call {
	c.Comm = comm
	return c
}

// recv is a message that somebody waits for.
func recv(from int, tag uint32, took float64) Call {
	c := Of(&Ended{Header: frame.Header{Call: frame.CallRecv, DType: reduce.F32, Root: tag}, Peer: int32(from)}, 0)
	c.State, c.WaitsFor, c.Took = Waiting, from, took
	return c
}

// of is the record of a rank of a world with one communicator, and of others that
// are named: the latest call in the list says where it is in each.
func of(rank, world int, groups map[uint32][]int, calls ...Call) Record {
	r := Record{Version: version, Job: "j", Epoch: 1, World: world, Rank: rank, Blames: NoRank, Calls: calls}
	all := map[uint32][]int{0: nil}
	for i := range world {
		all[0] = append(all[0], i)
	}
	for n, g := range groups {
		all[n] = g
	}
	for n, g := range all {
		c := Communicator{Number: n, Ranks: g}
		for _, call := range calls {
			if call.Comm == n && call.Peer == NoRank {
				c.Call, c.In = call.Number, call.State.Open()
			}
		}
		r.Communicators = append(r.Communicators, c)
	}
	return r
}

func TestStories(t *testing.T) {
	ar := func(n uint64, s State, took float64) Call { return at(frame.CallAllReduce, n, s, took) }
	pair := map[uint32][]int{7: {0, 1}}
	for name, c := range map[string]struct {
		records []Record
		want    string
	}{
		"late": {[]Record{of(0, 4, nil, ar(411, Done, 1), ar(412, Waiting, 4.2)), of(1, 4, nil, ar(412, Waiting, 4.1)), of(2, 4, nil, ar(412, Running, 4)), of(3, 4, nil, ar(411, Done, 1))},
			"rank 3 is past all-reduce #411, all others at all-reduce #412 (sum, f32, 1048576 elements) for 4.2s"},
		"in the call before": {[]Record{of(0, 3, nil, ar(413, Waiting, 4.2)), of(1, 3, nil, ar(412, Running, 4.5)), of(2, 3, nil, ar(413, Waiting, 4))},
			"rank 1 is at all-reduce #412, all others at all-reduce #413 (sum, f32, 1048576 elements) for 4.2s"},
		"two late, in two places": {[]Record{of(0, 4, nil, ar(9, Waiting, 3)), of(1, 4, nil, ar(8, Done, 1)), of(2, 4, nil, ar(7, Done, 1)), of(3, 4, nil, ar(9, Waiting, 3))},
			"rank 1 is past all-reduce #8, rank 2 is past all-reduce #7, all others at all-reduce #9 (sum, f32, 1048576 elements) for 3s"},
		"mismatch": {[]Record{of(0, 3, nil, ar(17, Waiting, 0.1)), of(1, 3, nil, ar(17, Waiting, 0.1)), of(2, 3, nil, at(frame.CallBarrier, 17, Waiting, 0.2))},
			"rank 2 made barrier #17, all others made all-reduce #17 (sum, f32, 1048576 elements), as call #17 of communicator 0"},
		"mismatch of a call that one has ended": {[]Record{of(0, 2, nil, ar(17, Done, 0.1), ar(18, Waiting, 1)), of(1, 2, nil, at(frame.CallBarrier, 17, Waiting, 0.2))},
			"rank 1 made barrier #17, rank 0 made all-reduce #17 (sum, f32, 1048576 elements), as call #17 of communicator 0"},
		"killed in a call": {[]Record{heard(of(0, 3, nil, ar(5, Waiting, 1)), Sighting{Rank: 2, Age: 0.3, Number: 5, In: true, Call: "all-reduce"}), of(1, 3, nil, ar(5, Waiting, 1))},
			"ranks 0, 1 are in all-reduce #5 (sum, f32, 1048576 elements); no record of rank 2 here, last heard of 300ms before"},
		"killed between calls, the freshest news counts": {[]Record{heard(of(0, 3, nil, ar(5, Waiting, 1)), Sighting{Rank: 2, Age: 3, Number: 3, Call: "barrier"}),
			heard(of(1, 3, nil, ar(5, Waiting, 2)), Sighting{Rank: 2, Age: 0.4, Number: 4, Call: "all-gather"})},
			"rank 2 was last heard of 400ms before, past all-gather #4 (no record here), all others at all-reduce #5 (sum, f32, 1048576 elements) for 2s"},
		"frozen": {[]Record{heard(of(0, 2, nil, ar(5, Waiting, 5)), Sighting{Rank: 1, Age: 4.7, Number: 5, In: true, Call: "all-reduce"})},
			"rank 0 is in all-reduce #5 (sum, f32, 1048576 elements); no record of rank 1 here, last heard of 4.7s before"},
		"one ended before": {[]Record{heard(of(1, 2, nil, ar(5, Waiting, 1)), Sighting{Rank: 0, Age: 0.2, Number: 4, Left: true, Call: "all-reduce"})},
			"rank 0 was last heard of 200ms before, gone after all-reduce #4 (no record here), rank 1 at all-reduce #5 (sum, f32, 1048576 elements) for 1s"},
		"late in a part": {[]Record{of(0, 3, pair, ar(1, Done, 1), in(7, ar(3, Waiting, 2))), of(1, 3, pair, ar(1, Done, 1), in(7, ar(2, Done, 1))), of(2, 3, nil, ar(2, Waiting, 4))},
			"rank 1 is past all-reduce #1, rank 0 at all-reduce #3 (sum, f32, 1048576 elements) of communicator 7 for 2s, rank 2 at all-reduce #2 (sum, f32, 1048576 elements) for 4s"},
		"a chain of messages": {[]Record{of(0, 3, nil, ar(1, Done, 1), recv(1, 5, 6)), of(1, 3, nil, ar(1, Done, 1), recv(2, 5, 7)), of(2, 3, nil, ar(1, Done, 9))},
			"rank 2 is past all-reduce #1, rank 0 in recv from rank 1, tag 5 for 6s, rank 1 in recv from rank 2, tag 5 for 7s"},
		"a deadlock": {[]Record{of(0, 3, nil, ar(2, Waiting, 5)), of(1, 3, nil, ar(1, Done, 1), recv(0, 3, 6)), of(2, 3, nil, ar(2, Waiting, 4))},
			"ranks 0, 1 wait for each other: rank 0 at all-reduce #2 (sum, f32, 1048576 elements) for 5s, rank 1 in recv from rank 0, tag 3 for 6s"},
		"a message nobody waits for is no wait": {[]Record{of(0, 2, nil, ar(1, Done, 1), posted(recv(1, 5, 6))), of(1, 2, nil, ar(1, Done, 1), recv(0, 5, 6))},
			"rank 0 is past all-reduce #1, rank 1 in recv from rank 0, tag 5 for 6s"},
		"between calls": {[]Record{of(0, 2, nil, ar(1, Done, 1)), of(1, 2, nil, ar(1, Done, 1))}, "no rank was in a call"},
		"all in one":    {[]Record{of(0, 2, nil, ar(1, Running, 1)), of(1, 2, nil, ar(1, Running, 1))}, "all ranks are in all-reduce #1 (sum, f32, 1048576 elements)"},
		"before the first call": {[]Record{of(0, 3, nil, ar(1, Waiting, 8)), of(1, 3, nil), of(2, 3, nil, ar(1, Waiting, 8))},
			"rank 1 is before its first call, all others at all-reduce #1 (sum, f32, 1048576 elements) for 8s"},
	} {
		s, err := Merge(c.records)
		if err != nil || s.Line != c.want {
			t.Errorf("%s:\n %q, error %v; want\n %q", name, s.Line, err, c.want)
		}
	}
}

func heard(r Record, s ...Sighting) Record {
	r.Heard = s
	return r
}

func posted(c Call) Call {
	c.State, c.WaitsFor = Running, NoRank
	return c
}

// Clocks of two machines may differ by hours: the story is the same.
func TestClocksDecideNothing(t *testing.T) {
	records := []Record{of(0, 3, nil, at(frame.CallBarrier, 2, Waiting, 3)), of(1, 3, nil, at(frame.CallBarrier, 1, Done, 3)), of(2, 3, nil, at(frame.CallBarrier, 2, Waiting, 2))}
	want, err := Merge(records)
	if err != nil {
		t.Fatal(err)
	}
	for i := range records {
		records[i].Taken = time.Unix(0, 0).Add(time.Duration(i) * -7 * time.Hour)
	}
	got, err := Merge(records)
	if err != nil || got.Line != want.Line {
		t.Errorf("%q, error %v; want %q", got.Line, err, want.Line)
	}
}

func TestMergeRefuses(t *testing.T) {
	a := of(0, 2, nil)
	job, twice := of(1, 2, nil), of(0, 2, nil)
	job.Epoch, twice.Taken = 2, time.Unix(5, 0)
	for want, records := range map[string][]Record{
		"there is no record":                  nil,
		"the records are of different jobs":   {a, job},
		"there are two records of rank 0, of": {a, twice},
	} {
		if _, err := Merge(records); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	if s, err := Merge([]Record{a, a}); err != nil || len(s.Records) != 1 {
		t.Errorf("the same file twice: %d records, error %v", len(s.Records), err)
	}
}
