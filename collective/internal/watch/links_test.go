package watch

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vgid/collective/frame"
)

// seenAt is when a rank of a test was last heard of; its waits of age s began s
// seconds before.
const seenAt = 100 * time.Second

// inWorld is a rank in, or past, a call of the communicator of the whole job.
func inWorld(at position, age int) entry {
	s := standing{at: at, call: frame.CallAllReduce}
	if s.in() {
		s.age = time.Duration(age) * time.Second
	}
	return entry{beat: 1, when: seenAt, in: []standing{s}}
}

func expecting(e entry, peer, age int) entry {
	e.expects = append(slices.Clone(e.expects), Expect{Call: frame.CallRecv, Peer: peer, Age: time.Duration(age) * time.Second})
	return e
}

func also(e entry, comm uint32, at position, age int) entry {
	s := standing{comm: comm, at: at, call: frame.CallBarrier}
	if s.in() {
		s.age = time.Duration(age) * time.Second
	}
	e.in = append(slices.Clone(e.in), s)
	return e
}

func when(e entry, d int) entry {
	e.when = time.Duration(d) * time.Second
	return e
}

func sceneOf(all ...entry) *scene {
	s := &scene{all: all, members: map[uint32][]int{0: nil}, beat: time.Second}
	for r := range all {
		s.members[0] = append(s.members[0], r)
	}
	return s
}

func TestFollow(t *testing.T) {
	for name, c := range map[string]struct {
		s      *scene
		from   int
		roots  []int
		cycle  []int
		teller int
	}{
		"late to a call":                         {sceneOf(inWorld(inCall(5), 9), inWorld(afterCall(4), 0), inWorld(inCall(5), 9)), 2, []int{1}, nil, 0},
		"all have come":                          {sceneOf(inWorld(inCall(5), 9), inWorld(inCall(5), 8)), 0, []int{0}, nil, -1},
		"a wait of a moment":                     {sceneOf(inWorld(inCall(5), 1), inWorld(afterCall(4), 0)), 0, []int{0}, nil, -1},
		"old news":                               {sceneOf(inWorld(inCall(5), 9), when(inWorld(afterCall(4), 0), 91)), 0, []int{0}, nil, -1},
		"no news":                                {sceneOf(inWorld(inCall(5), 9), entry{}), 0, []int{0}, nil, -1},
		"the end of a chain":                     {sceneOf(expecting(inWorld(afterCall(1), 0), 1, 6), expecting(inWorld(afterCall(1), 0), 2, 5), inWorld(afterCall(1), 0)), 0, []int{2}, nil, 0},
		"the rank in a Recv":                     {sceneOf(inWorld(inCall(5), 9), expecting(inWorld(afterCall(4), 0), 3, 9), inWorld(inCall(5), 9), inWorld(inCall(5), 9)), 0, nil, []int{0, 1, 3}, -1},
		"is not the late one":                    {sceneOf(inWorld(inCall(5), 9), expecting(inWorld(afterCall(4), 0), 2, 9), inWorld(afterCall(4), 0)), 0, []int{2}, nil, 0},
		"two Recvs":                              {sceneOf(inWorld(afterCall(4), 0), expecting(inWorld(afterCall(4), 0), 2, 9), expecting(inWorld(afterCall(4), 0), 1, 3)), 2, nil, []int{1, 2}, 1},
		"in turn, not at once":                   {sceneOf(inWorld(afterCall(4), 0), expecting(inWorld(afterCall(4), 0), 2, 9), when(expecting(inWorld(afterCall(4), 0), 1, 3), 80)), 2, nil, nil, -1},
		"three Recvs":                            {sceneOf(expecting(inWorld(afterCall(4), 0), 1, 5), expecting(inWorld(afterCall(4), 0), 2, 9), expecting(inWorld(afterCall(4), 0), 0, 3)), 1, nil, []int{0, 1, 2}, 0},
		"in a part of the ranks":                 {sceneOf(inWorld(inCall(5), 9), also(inWorld(afterCall(4), 0), 7, inCall(2), 9), also(inWorld(afterCall(4), 0), 7, afterCall(1), 0), inWorld(inCall(5), 9)), 0, []int{2}, nil, 0},
		"a part of which nobody knows the ranks": {sceneOf(inWorld(inCall(5), 9), also(inWorld(afterCall(4), 0), 7, inCall(2), 9), inWorld(inCall(5), 9)), 0, []int{1}, nil, 0},
	} {
		v := c.s.follow(c.from)
		var cycle []int
		for _, l := range v.cycle {
			cycle = append(cycle, l.from)
		}
		if name == "the rank in a Recv" { // which of its cycles is found does not matter
			if v.cycle == nil || !slices.Contains(cycle, 1) || !slices.Contains(cycle, 3) {
				t.Errorf("%s: cycle %v", name, cycle)
			}
			continue
		}
		if !slices.Equal(v.roots, c.roots) || !slices.Equal(cycle, c.cycle) || v.teller != c.teller {
			t.Errorf("%s: roots %v, cycle %v, teller %d; want %v, %v, %d", name, v.roots, cycle, v.teller, c.roots, c.cycle, c.teller)
		}
	}
}

// Whatever is known: a rank is waited for only by news of after it was; a root
// waits for nobody; who wait for each other did so at one moment; and all that
// look at the same see the same teller, who waits itself.
func TestFollowAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 7).Draw(t, "ranks")
		age := rapid.IntRange(0, 20)
		all := make([]entry, n)
		for r := range all {
			if rapid.IntRange(0, 9).Draw(t, "unknown") == 0 {
				continue
			}
			e := inWorld(position(rapid.Uint64Range(1, 6).Draw(t, "at")), age.Draw(t, "age"))
			if rapid.Bool().Draw(t, "elsewhere") {
				e = also(e, 7, position(rapid.Uint64Range(1, 6).Draw(t, "there")), age.Draw(t, "for"))
			}
			if rapid.Bool().Draw(t, "message") {
				e = expecting(e, rapid.IntRange(0, n-1).Draw(t, "peer"), age.Draw(t, "since"))
			}
			all[r] = when(e, rapid.IntRange(70, 100).Draw(t, "heard"))
		}
		s := sceneOf(all...)
		for r := range all {
			for _, l := range s.linksOf(r) {
				if l.from != r || l.to == r || l.seen < l.began || !l.isMessage() && all[l.to].when < l.began+s.beat {
					t.Fatalf("rank %d: %+v", r, l)
				}
			}
			v := s.follow(r)
			for _, root := range v.roots {
				if len(s.linksOf(root)) > 0 {
					t.Fatalf("root %d waits", root)
				}
			}
			for i, l := range v.cycle {
				if next := v.cycle[(i+1)%len(v.cycle)]; l.to != next.from {
					t.Fatalf("cycle %+v", v.cycle)
				}
				for _, o := range v.cycle {
					if l.began > o.seen {
						t.Fatalf("%+v had not begun when %+v was last seen", l, o)
					}
				}
			}
			if v.teller >= 0 && len(s.linksOf(v.teller)) == 0 {
				t.Fatalf("rank %d tells and waits for nobody", v.teller)
			}
			if v.cycle == nil && len(v.roots) == 1 && v.teller >= 0 {
				if other := s.follow(v.teller); other.cycle == nil && slices.Equal(other.roots, v.roots) && other.teller != v.teller {
					t.Fatalf("rank %d finds teller %d, rank %d finds %d", r, v.teller, v.teller, other.teller)
				}
			}
			for _, text := range []string{deadlock(v.cycle), listed(v.links)} {
				if strings.Contains(text, "\n") {
					t.Fatalf("%q", text)
				}
			}
		}
	})
}

func TestDeadlockWords(t *testing.T) {
	links := []link{{from: 0, to: 2, call: frame.CallRecv, age: 5 * time.Second}, {from: 2, to: 0, call: frame.CallAllReduce, seq: 7, comm: 3, age: 4 * time.Second}}
	want := "ranks 0, 2 wait for each other, so that none can go on: rank 0 in recv from rank 2 for 5s, rank 2 at all-reduce #7 of communicator 3 for 4s"
	if got := (Late{blame: verdict{cycle: links}}).String(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	var many []link
	for r := range 20 {
		many = append(many, link{from: r, call: frame.CallSend})
	}
	if got, want := listed(many), "and 12 more"; !strings.HasSuffix(got, want) || strings.Count(got, "rank") != 16 {
		t.Errorf("%q, want the end %q", got, want)
	}
	got := Late{Ranks: []int{2}, at: standing{at: afterCall(3), call: frame.CallBarrier}, blame: verdict{links: links[:1]}}.String()
	if want := "rank 2 is past barrier #3, and waited for: rank 0 in recv from rank 2 for 5s"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if fmt.Sprint(Late{}.Deadlock()) != "false" {
		t.Error("a deadlock of nobody")
	}
}
