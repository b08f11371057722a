package flight

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vgid/collective/frame"
	"vgid/collective/reduce"
)

// The ring keeps the latest calls in their order and counts the others, whatever
// number there were.
func TestRing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 3*Keep).Draw(t, "calls")
		var r Ring
		for i := range n {
			r.Add(&Ended{Sent: uint64(i)})
		}
		kept, before := r.Last()
		if len(kept) != min(n, Keep) || int(before)+len(kept) != n {
			t.Fatalf("%d kept, %d before, of %d", len(kept), before, n)
		}
		for i, e := range kept {
			if e.Sent != before+uint64(i) {
				t.Fatalf("place %d holds call %d, want %d", i, e.Sent, before+uint64(i))
			}
		}
	})
}

func TestRingAllocatesNothing(t *testing.T) {
	var r Ring
	e := Ended{Header: frame.Header{Call: frame.CallBarrier}}
	if n := testing.AllocsPerRun(1000, func() { r.Add(&e) }); n != 0 {
		t.Errorf("%v allocations a call", n)
	}
}

func BenchmarkRing(b *testing.B) {
	var r Ring
	e := Ended{Header: frame.Header{Call: frame.CallBarrier}}
	for b.Loop() {
		r.Add(&e)
	}
}

func TestCallOfAHeader(t *testing.T) {
	reduced := frame.Header{Call: frame.CallAllReduce, Reduce: reduce.Max, DType: reduce.F32, Seq: 412, Count: 9, Chunk: 3, Length: 36}
	for want, e := range map[string]Ended{
		"all-reduce #412 (max, f32, 9 elements)":                  {Header: reduced, Peer: NoRank},
		"broadcast #7 (u8, 2 elements, root 1) of communicator 5": {Header: frame.Header{Call: frame.CallBroadcast, DType: reduce.U8, Seq: 7, Count: 2, Root: 1, Comm: 5}, Peer: NoRank},
		"barrier #1":            {Header: frame.Header{Call: frame.CallBarrier, DType: reduce.Bytes, Seq: 1}, Peer: NoRank},
		"send to rank 0, tag 0": {Header: frame.Header{Call: frame.CallSend, DType: reduce.F32, Seq: 3}},
		"recv from rank 4":      {Header: frame.Header{Call: frame.CallRecv, DType: reduce.F32, Root: 1<<32 - 1}, Peer: 4},
	} {
		e.Began, e.End = 2*time.Second, 5*time.Second
		c := Of(&e, 9*time.Second)
		if c.Words() != want || c.Began != 7 || c.Took != 3 || c.State != Done {
			t.Errorf("%q began %v s before, took %v; want %q, 7, 3", c.Words(), c.Began, c.Took, want)
		}
	}
	other := reduced
	other.Chunk, other.Length = 0, 4
	if a, b := Of(&Ended{Header: reduced}, 0), Of(&Ended{Header: other}, 0); a.Key != b.Key || a.Key == "" {
		t.Errorf("frames of one call have keys %q and %q", a.Key, b.Key)
	}
	other.Count++
	if a, b := Of(&Ended{Header: reduced}, 0), Of(&Ended{Header: other}, 0); a.Key == b.Key {
		t.Error("calls of different lengths have the same key")
	}
}

func drawRecord(t *rapid.T, world int) Record {
	r := Record{Version: version, Job: "j", Epoch: 1, World: world, Rank: rapid.IntRange(0, world-1).Draw(t, "rank"), Cause: rapid.String().Draw(t, "cause"), Blames: NoRank}
	rank := rapid.IntRange(0, world-1)
	for comm := range uint32(rapid.IntRange(0, 2).Draw(t, "communicators")) {
		r.Communicators = append(r.Communicators, Communicator{Number: comm, Ranks: rapid.SliceOfDistinct(rank, rapid.ID[int]).Draw(t, "ranks"),
			Call: rapid.Uint64Range(0, 5).Draw(t, "call"), In: rapid.Bool().Draw(t, "in")})
	}
	for range rapid.IntRange(0, 5).Draw(t, "calls") {
		e := Ended{Header: frame.Header{Call: frame.Call(rapid.IntRange(1, int(frame.LastCall)).Draw(t, "kind")), DType: reduce.F32,
			Seq: rapid.Uint64Range(0, 5).Draw(t, "number"), Comm: uint32(rapid.IntRange(0, 2).Draw(t, "of"))}, Peer: NoRank, LongestFor: NoRank}
		if e.Header.Call.Is(frame.Tagged) {
			e.Peer = int32(rank.Draw(t, "peer"))
		}
		c := Of(&e, time.Second)
		c.State = rapid.SampledFrom([]State{Queued, Running, Waiting, Done}).Draw(t, "state")
		r.Calls = append(r.Calls, c)
	}
	for range rapid.IntRange(0, 4).Draw(t, "heard") {
		r.Heard = append(r.Heard, Sighting{Rank: rank.Draw(t, "other"), Age: rapid.Float64Range(0, 10).Draw(t, "age"), Comm: uint32(rapid.IntRange(0, 2).Draw(t, "in")),
			Number: rapid.Uint64Range(0, 5).Draw(t, "at"), In: rapid.Bool().Draw(t, "inside")})
	}
	return r
}

// Whatever ranks have recorded: it is read as it was written, its story is one line
// that names only ranks of the job, the same for any order of the records, and
// its table can be shown.
func TestMergeAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		world := rapid.IntRange(1, 5).Draw(t, "world")
		var all []Record
		seen := map[int]bool{}
		for range rapid.IntRange(1, world).Draw(t, "records") {
			r := drawRecord(t, world)
			if seen[r.Rank] {
				continue
			}
			seen[r.Rank] = true
			b, err := r.JSON()
			if err != nil {
				t.Fatal(err)
			}
			back, err := Parse(b)
			if err != nil || len(back) != 1 || !reflect.DeepEqual(back[0], r) && r.Cause == strings.ToValidUTF8(r.Cause, "") {
				t.Fatalf("read %+v, error %v; written %+v", back, err, r)
			}
			all = append(all, back[0])
		}
		s, err := Merge(all)
		if err != nil {
			t.Fatal(err)
		}
		if s.Line == "" || strings.Contains(s.Line, "\n") || len(s.Records)+len(s.Missing) != world {
			t.Fatalf("story %q, %d records, %d missing of %d", s.Line, len(s.Records), len(s.Missing), world)
		}
		if again, _ := Merge(rapid.Permutation(all).Draw(t, "order")); again.Line != s.Line {
			t.Fatalf("%q in another order: %q", s.Line, again.Line)
		}
		var text strings.Builder
		if err := s.Table(&text); err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := Merge(back); err != nil || again.Line != s.Line {
			t.Fatalf("%q of the merged file, error %v; want %q", again.Line, err, s.Line)
		}
	})
}

func FuzzParse(f *testing.F) {
	b, err := Record{World: 2, Rank: 1, Calls: []Call{{Peer: NoRank, State: Waiting}}, Communicators: []Communicator{{Ranks: []int{0, 1}}}}.JSON()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"version":1,"records":[]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := Parse(b)
		if err != nil || len(all) == 0 || all[0].World > 100 {
			return
		}
		if s, err := Merge(all); err == nil {
			_ = s.Table(&strings.Builder{})
		}
	})
}
