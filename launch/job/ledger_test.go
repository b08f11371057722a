package job

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"vgid/launch/view"
)

// twoByTwo is a view of nodes n0 (ranks 0, 1) and n1 (ranks 2, 3).
func twoByTwo() view.View {
	return view.View{Epoch: 1, Job: "j", Token: "t", Members: []view.Member{
		{ID: "a", Node: "n0", Nodes: 2, Addrs: []string{"h:1", "h:2"}},
		{ID: "b", Node: "n1", Nodes: 2, Addrs: []string{"h:3", "h:4"}}}}
}

// three is a view of nodes n0, n1 and n2 with a rank each.
func three() view.View {
	v := view.View{Epoch: 1, Job: "j", Token: "t"}
	for i, id := range []string{"a", "b", "c"} {
		v.Members = append(v.Members, view.Member{ID: id, Node: "n" + string(rune('0'+i)), Nodes: 3, Addrs: []string{"h:" + string(rune('1'+i))}})
	}
	return v
}

func TestFirstCause(t *testing.T) {
	tests := []struct {
		name  string
		exits []Exit
		lost  map[int]int64 // node to time of notice
		code  int
		want  string
	}{
		{"own fault before a peer's", []Exit{{Rank: 0, Code: 75, AtMilli: 10, Line: "rank 2 closed"}, {Rank: 2, Code: 3, AtMilli: 12, Line: "no such file", Log: "l/rank2.log"}}, nil,
			3, "rank 2 on n1 failed with exit code 3: no such file (log l/rank2.log)"},
		{"earliest own fault", []Exit{{Rank: 3, Code: 4, AtMilli: 9}, {Rank: 1, Code: 5, AtMilli: 11}}, nil, 4, "rank 3 on n1 failed with exit code 4"},
		{"same time: lowest rank", []Exit{{Rank: 3, Code: 4, AtMilli: 9}, {Rank: 1, Code: 5, AtMilli: 9}}, nil, 5, "rank 1 on n0"},
		{"the stopped are not guilty", []Exit{{Rank: 0, Signal: 15, Stopped: true, AtMilli: 1}, {Rank: 1, Code: 143, Stopped: true, AtMilli: 2}, {Rank: 2, Signal: 11, AtMilli: 3}}, nil,
			139, "rank 2 on n1 was killed by SIGSEGV"},
		{"an odd end while stopping before those who blame a peer", []Exit{{Rank: 0, Code: 75, AtMilli: 1}, {Rank: 1, Code: 9, Stopped: true, AtMilli: 2}}, nil, 9, "rank 1"},
		{"only blame", []Exit{{Rank: 1, Code: 75, AtMilli: 5, Line: "timeout waiting for rank 0"}, {Rank: 0, Code: 75, Stopped: true, AtMilli: 1}}, nil, 75, "rank 1 on n0 failed with exit code 75: timeout"},
		{"killed from outside", []Exit{{Rank: 1, Signal: 9, AtMilli: 5}}, nil, 137, "rank 1 on n0 was killed by SIGKILL, as the kernel does"},
		{"a lost node is noticed late", []Exit{{Rank: 0, Code: 1, AtMilli: 9000}}, map[int]int64{1: 10000}, 1, "node n1 (ranks 2-3) was lost: silent"},
		{"a node lost long after", []Exit{{Rank: 0, Code: 7, AtMilli: 1000}}, map[int]int64{1: 10000}, 7, "rank 0"},
		{"never started", []Exit{{Rank: 0, Err: "exec format error", AtMilli: 1}}, nil, 1, "rank 0 on n0 did not start: exec format error"},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			for range 20 { // whatever the order in which it becomes known
				l := newLedger(twoByTwo(), 0)
				if _, failed := l.cause(); failed || l.failed() {
					t.Fatal("failed before it began")
				}
				rand.Shuffle(len(c.exits), func(i, j int) { c.exits[i], c.exits[j] = c.exits[j], c.exits[i] })
				for _, e := range c.exits {
					if !l.addExit(e.Rank/2, e) || l.addExit(e.Rank/2, e) || l.addExit(1-e.Rank/2, e) {
						t.Fatal("a node speaks for its own ranks, once")
					}
				}
				for n, at := range c.lost {
					l.addLoss(Loss{n, at, "silent"})
				}
				got, failed := l.cause()
				if !failed || !l.failed() || got.Code != c.code || !strings.HasPrefix(got.Text, c.want) {
					t.Fatalf("got %+v, want code %d, %q", got, c.code, c.want)
				}
			}
		})
	}
}

func TestLedgerCompletes(t *testing.T) {
	l := newLedger(twoByTwo(), 0)
	for r := range 3 {
		l.addExit(r/2, Exit{Rank: r})
	}
	if l.complete() || !l.done(0) || l.done(1) || l.addLoss(Loss{0, 1, "left"}) {
		t.Error("node 0 is done, node 1 is not")
	}
	if !l.addLoss(Loss{1, 1, "gone"}) || !l.complete() || !l.failed() {
		t.Error("nothing more can come from a lost node")
	}
}

// All that can still speak name the same cut, whatever else they lost and in
// whatever order they heard of it.
func TestCutIsTheCause(t *testing.T) {
	cuts := []Cut{{0, 2, 1, 9000}, {0, 2, 1, 9500}}
	for self := range 3 {
		for _, order := range [][]int{{0, 1}, {1, 0}} {
			l := newLedger(three(), self)
			l.addExit(2, Exit{Rank: 2, Code: 75, AtMilli: 9100, Line: "vgid: collective: rank 2: peer rank 0: cut"})
			if !l.addCut(cuts[order[0]]) || l.addCut(cuts[order[1]]) || !l.failed() || l.onlyPeersBlamed() {
				t.Fatal("a cut is news once, and ends the job")
			}
			if c, ok := l.cause(); !ok || c.Code != 1 || c.Text != "nodes n0 and n2 do not reach each other (n1 reaches both); look at the network between these two" {
				t.Errorf("%+v", c)
			}
		}
	}
	l := newLedger(three(), 0)
	for _, bad := range []Cut{{0, 0, 1, 1}, {1, 0, 2, 1}, {0, 1, 1, 1}, {0, 1, 0, 1}, {-1, 1, 2, 1}, {0, 3, 1, 1}, {0, 1, 3, 1}} {
		if l.addCut(bad) {
			t.Errorf("took %+v", bad)
		}
	}
}

func TestIsolatedNode(t *testing.T) {
	l := newLedger(three(), 2)
	l.addLoss(Loss{0, 10000, noAnswer})
	if c, _ := l.cause(); c.Text != "node n0 (rank 0) was lost: "+noAnswer {
		t.Errorf("one lost: %+v", c)
	}
	l.addLoss(Loss{1, 10100, noAnswer})
	if c, _ := l.cause(); c.Text != "node n2 is cut off from all others (n0, n1)" || c.Node != "n2" || c.Code != 1 {
		t.Errorf("all lost: %+v", c)
	}
	killed := newLedger(three(), 2)
	killed.addLoss(Loss{0, 10000, gone})
	killed.addLoss(Loss{1, 10100, noAnswer})
	if c, _ := killed.cause(); c.Text != "node n0 (rank 0) was lost: "+gone {
		t.Errorf("one of them was reached: %+v", c)
	}
	two := newLedger(twoByTwo(), 0)
	two.addLoss(Loss{1, 10000, noAnswer})
	if c, _ := two.cause(); !strings.HasPrefix(c.Text, "node n1 (ranks 2-3) was lost") {
		t.Errorf("of two nodes neither is the isolated one: %+v", c)
	}
}

func TestWitness(t *testing.T) {
	l := newLedger(twoByTwo(), 0)
	l.addExit(1, Exit{Rank: 2, Signal: 9, Stood: 4 * time.Second, AtMilli: 5})
	l.addExit(0, Exit{Rank: 0, Code: 75, AtMilli: 6, Line: "vgid: collective: rank 0: all-reduce #7: peer rank 20: lost"})
	l.addExit(0, Exit{Rank: 1, Code: 75, AtMilli: 7, Line: "vgid: collective: rank 1: all-reduce #7: peer rank 2: lost"})
	c, ok := l.cause()
	if !ok || c.Code != 137 || !strings.HasSuffix(c.Text, "rank 2 on n1 stood still for 4s, stopped by a signal (as SIGSTOP), and was killed; rank 1 then ended with: vgid: collective: rank 1: all-reduce #7: peer rank 2: lost") {
		t.Errorf("%+v", c)
	}
}

// Of a lost node the words count that were said before their agents had heard of
// it from another: all agents know these, and name the same.
func TestWordsOfALoss(t *testing.T) {
	l := newLedger(three(), 0)
	l.hearLoss(Loss{2, 9000, gone})
	l.hearLoss(Loss{2, 9100, noAnswer})
	l.hearLoss(Loss{-1, 1, gone})
	l.hearLoss(Loss{3, 1, gone})
	if l.failed() || len(l.heard) != 1 {
		t.Error("another's word alone makes no node lost")
	}
	l.addLoss(Loss{2, 8000, noAnswer})
	if o := l.loss(2); o != (Loss{2, 9000, gone}) {
		t.Errorf("%+v; it had heard of it before", o)
	}
	first := newLedger(three(), 1)
	first.addLoss(Loss{2, 9000, gone})
	first.hearLoss(Loss{2, 9000, noAnswer})
	if o := first.loss(2); o != (Loss{2, 9000, noAnswer}) {
		t.Errorf("%+v; of one moment the words decide", o)
	}
	first.addExit(2, Exit{Rank: 2, Code: 5, AtMilli: 8900})
	if c, _ := first.cause(); c.Rank != 2 || c.Code != 5 {
		t.Errorf("%+v; its ranks were heard of after all", c)
	}
}
