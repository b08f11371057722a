package relay

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// world runs machines side by side over a network that can be cut.
type world struct {
	now    time.Time
	nodes  []*Machine[int]
	alive  []bool
	cut    map[[2]int]bool // links that lose everything, from and to
	flight []packet
	sent   []int // by node
}

type packet struct {
	from int
	Send[int]
}

// final is the lowest report that is the last of its node.
const final = 100

func newWorld(n int) *world {
	w := &world{now: time.Unix(100, 0), cut: map[[2]int]bool{}, sent: make([]int, n)}
	for i := range n {
		w.nodes, w.alive = append(w.nodes, New[int](i, n)), append(w.alive, true)
	}
	return w
}

func (w *world) pump(i int) {
	for _, s := range w.nodes[i].Next(w.now) {
		w.sent[i]++
		w.flight = append(w.flight, packet{i, s})
	}
}

// deliver hands over a packet; who is dead or has left refuses it.
func (w *world) deliver(p packet) {
	switch {
	case w.cut[[2]int{p.from, p.To}]:
	case !w.alive[p.To]:
		w.nodes[p.from].Gone(p.To)
	default:
		w.nodes[p.To].Receive(p.from, p.Msg)
	}
	if w.alive[p.from] {
		w.pump(p.from)
	}
	if w.alive[p.To] {
		w.pump(p.To)
	}
}

// run lets time pass until every node that lives has settled and left.
func (w *world) run(limit time.Duration) bool {
	for end := w.now.Add(limit); w.now.Before(end); w.now = w.now.Add(100 * time.Millisecond) {
		for i, m := range w.nodes {
			if w.alive[i] {
				if !slices.ContainsFunc(m.latest, func(it Item[int]) bool { return it.Report < final && !m.peers[it.Node].gone }) {
					m.Complete()
				}
				w.pump(i)
			}
		}
		for k := 0; len(w.flight) > 0 && k < 100000; k++ {
			p := w.flight[0]
			w.flight = w.flight[1:]
			w.deliver(p)
		}
		left := 0
		for i, m := range w.nodes {
			if w.alive[i] && m.Settled() {
				w.pump(i) // its last word
				w.alive[i] = false
			}
			if w.alive[i] {
				left++
			}
		}
		if left == 0 {
			return true
		}
	}
	return false
}

func (w *world) knows(i int) []int {
	var all []int
	for _, it := range w.nodes[i].latest {
		all = append(all, it.Report)
	}
	return all
}

func TestEverybodyLearnsEverything(t *testing.T) {
	for _, n := range []int{1, 2, 3, 8, 64} {
		w := newWorld(n)
		var want []int
		for i, m := range w.nodes {
			m.Publish(7)
			m.Publish(final + i)
			want = append(want, final+i)
		}
		if !w.run(10 * time.Second) {
			t.Fatalf("%d nodes never leave", n)
		}
		for i := range w.nodes {
			if got := w.knows(i); !slices.Equal(got, want) {
				t.Fatalf("node %d of %d knows %v", i, n, got)
			}
			if most := 8; i > 0 && w.sent[i] > most {
				t.Errorf("node %d of %d sends %d messages, want at most %d", i, n, w.sent[i], most)
			}
		}
		if w.sent[0] > 8*n {
			t.Errorf("the hub of %d sends %d messages", n, w.sent[0])
		}
	}
}

// The link between two nodes is cut, in one direction or both, the hub's too:
// the others' word goes round it.
func TestAroundACut(t *testing.T) {
	for n := 3; n <= 5; n++ {
		for a := range n {
			for b := range n {
				if a == b {
					continue
				}
				w := newWorld(n)
				w.cut[[2]int{a, b}] = true
				if (a+b)%2 == 0 {
					w.cut[[2]int{b, a}] = true
				}
				for i, m := range w.nodes {
					m.Publish(i + 1)
				}
				w.nodes[b].Silent([]int{a}) // it hears nothing
				for range 60 {
					w.now = w.now.Add(100 * time.Millisecond)
					for i := range w.nodes {
						w.pump(i)
					}
					for len(w.flight) > 0 {
						p := w.flight[0]
						w.flight = w.flight[1:]
						w.deliver(p)
					}
				}
				for i := range w.nodes {
					if got := w.knows(i); slices.Contains(got, 0) {
						t.Errorf("%d nodes, %d to %d cut: node %d knows %v", n, a, b, i, got)
					}
				}
				// Once it is known the link is given up, and all end together.
				w.nodes[a].Cut(b)
				w.nodes[b].Cut(a)
				for i, m := range w.nodes {
					m.Publish(final + i)
				}
				begin := w.now
				if !w.run(5 * time.Second) {
					t.Errorf("%d nodes, %d to %d cut: some never leave", n, a, b)
				}
				for i := range w.nodes {
					if got := w.knows(i); slices.Min(got) < final {
						t.Errorf("%d nodes, %d to %d cut: node %d leaves with %v", n, a, b, i, got)
					}
				}
				if d := w.now.Sub(begin); d > time.Second {
					t.Errorf("%d nodes, %d to %d cut: the end takes %v", n, a, b, d)
				}
			}
		}
	}
}

// Messages are lost, repeated and overtaken, and nodes die: all that live learn
// what any of them knows, and leave; nobody leaves who is needed.
func TestAnyOrderSpreads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "nodes")
		w := newWorld(n)
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			i := rapid.IntRange(0, n-1).Draw(t, "node")
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				if w.alive[i] {
					w.nodes[i].Publish(rapid.IntRange(1, 99).Draw(t, "report"))
				}
			case 1:
				if i > 0 && rapid.IntRange(0, 9).Draw(t, "dies") == 0 {
					w.alive[i] = false
				}
			case 2:
				if len(w.flight) > 0 {
					k := rapid.IntRange(0, len(w.flight)-1).Draw(t, "lose")
					w.flight = slices.Delete(w.flight, k, k+1)
				}
			case 3:
				w.now = w.now.Add(time.Duration(rapid.IntRange(0, 2000).Draw(t, "ms")) * time.Millisecond)
				if w.alive[i] {
					w.pump(i)
				}
			default:
				if len(w.flight) > 0 {
					k := rapid.IntRange(0, len(w.flight)-1).Draw(t, "packet")
					p := w.flight[k]
					if rapid.Bool().Draw(t, "once") {
						w.flight = slices.Delete(w.flight, k, k+1)
					}
					if w.alive[p.from] {
						w.deliver(p)
					}
				}
			}
		}
		newest := make([]uint64, n) // of what those that live know
		for i, m := range w.nodes {
			if w.alive[i] {
				m.Publish(final)
				for k, it := range m.latest {
					newest[k] = max(newest[k], it.Seq)
					if !w.alive[k] {
						m.Gone(k)
					}
				}
			}
		}
		living := slices.Clone(w.alive)
		if !w.run(5 * time.Minute) {
			t.Fatal("some never leave")
		}
		for i, m := range w.nodes {
			for k, seq := range m.have() { // what the dead said may still arrive
				if living[i] && seq < newest[k] {
					t.Fatalf("node %d has %v, want %v", i, m.have(), newest)
				}
			}
		}
	})
}

func TestNobodySpeaksForAnother(t *testing.T) {
	m := New[int](1, 3)
	m.Publish(5)
	if got := m.Receive(0, Message[int]{Have: []uint64{1, 9, 0}, News: []Item[int]{{Node: 1, Seq: 9, Report: 6}, {Node: 7, Seq: 1}, {Node: -1, Seq: 1}, {Node: 2}}}); len(got) > 0 || m.latest[1].Report != 5 {
		t.Errorf("took %v", got)
	}
	for _, from := range []int{-1, 1, 3} {
		if got := m.Receive(from, Message[int]{Have: make([]uint64, 3), News: []Item[int]{{Node: 2, Seq: 1}}}); len(got) > 0 {
			t.Errorf("took %v of node %d", got, from)
		}
	}
	if got := m.Receive(0, Message[int]{News: []Item[int]{{Node: 2, Seq: 1}}}); len(got) > 0 {
		t.Errorf("took %v without a word of what the sender has", got)
	}
}

// A node that still hears a hub which cannot reach it does not know that it
// lacks something: who knows of the cut link sends it what is new.
func TestDirect(t *testing.T) {
	m := New[string](2, 3)
	m.Direct(2) // itself: nothing
	m.Publish("x")
	now := time.Unix(100, 0)
	if s := m.Next(now); len(s) != 1 || s[0].To != 0 {
		t.Errorf("without: %+v; only the hub is told", s)
	}
	m.Direct(1)
	if s := m.Next(now); len(s) != 1 || s[0].To != 1 || len(s[0].Msg.News) != 1 {
		t.Errorf("%+v; node 1 is told as well", s)
	}
}
