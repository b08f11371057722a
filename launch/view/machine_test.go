package view

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"
)

// member makes the announcement of the one-letter agent id.
func member(id string, nodes int) Member {
	return Member{ID: id, Node: "node-" + id, Nodes: nodes, Addrs: []string{"10.0.0.1:" + fmt.Sprint(4000+int(id[0]))}}
}

// world runs machines side by side; messages wait until the test moves them.
type world struct {
	nodes    int
	machines map[string]*Machine
	ids      []string
	flight   []packet
	views    map[string]View
	failed   map[string]string
	lost     map[string][]string
}

type packet struct {
	from, to string
	msg      Message
}

func newWorld(nodes int, ids ...string) *world {
	w := &world{nodes: nodes, ids: ids, machines: map[string]*Machine{}, views: map[string]View{}, failed: map[string]string{}, lost: map[string][]string{}}
	for _, id := range ids {
		w.machines[id] = New(Config{Job: "j", Self: member(id, nodes), Token: "token-" + id})
	}
	return w
}

func (w *world) apply(at string, effects []Effect) string {
	var b strings.Builder
	for _, e := range effects {
		switch {
		case e.Send != nil:
			w.flight = append(w.flight, packet{at, e.Send.To, e.Send.Msg})
			fmt.Fprintf(&b, "%s -> %s %s epoch %d", at, e.Send.To, e.Send.Msg.Kind, e.Send.Msg.Epoch)
			if e.Send.Msg.View != nil {
				for _, m := range e.Send.Msg.View.Members {
					b.WriteString(" " + m.ID)
				}
			}
			if e.Send.Msg.Nodes != 0 {
				fmt.Fprintf(&b, " of %d nodes", e.Send.Msg.Nodes)
			}
			b.WriteString("\n")
		case e.Committed != nil:
			if _, twice := w.views[at]; twice {
				b.WriteString("COMMITTED TWICE: ")
			}
			w.views[at] = *e.Committed
			fmt.Fprintf(&b, "%s: committed epoch %d, rank %d of %d\n", at, e.Committed.Epoch, e.Committed.NodeRank(at), e.Committed.WorldSize())
		case e.Failed != nil:
			w.failed[at] = e.Failed.Error()
			fmt.Fprintf(&b, "%s: failed: %v\n", at, e.Failed)
		case e.Doubted != nil:
			w.lost[at] = append(w.lost[at], e.Doubted.ID)
			fmt.Fprintf(&b, "%s: lost %s\n", at, e.Doubted.ID)
		case e.Lost != nil:
			w.lost[at] = append(w.lost[at], e.Lost.ID)
			fmt.Fprintf(&b, "%s: lost %s\n", at, e.Lost.ID)
		}
	}
	return b.String()
}

// deliver hands over the packets that match, in order of sending.
func (w *world) deliver(match func(packet) bool, keep bool) string {
	var b strings.Builder
	var rest, now []packet
	for _, p := range w.flight {
		if match(p) {
			now = append(now, p)
		} else {
			rest = append(rest, p)
		}
	}
	w.flight = rest
	if keep {
		w.flight = append(w.flight, now...)
	}
	for _, p := range now {
		if m := w.machines[p.to]; m != nil {
			b.WriteString(w.apply(p.to, m.Receive(p.from, p.msg)))
		}
	}
	return b.String()
}

// command runs one command of a transcript:
//
//	world NODES ID...          new machines
//	wants ID NODES             that one expects another number of nodes
//	start ID | up ID PEER... | down ID PEER... | tick ID [TIMES] | timeout ID
//	deliver [FROM TO]          what is under way, all or between two
//	copy FROM TO               the same, and it stays under way
//	drop                       loses it
//	settle                     deliver until nothing is under way
func (w *world) command(t *testing.T, d *datadriven.TestData) string {
	var f []string
	for _, a := range d.CmdArgs {
		f = append(f, a.Key)
	}
	number := func(i int) int {
		n, err := strconv.Atoi(f[i])
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		return n
	}
	match := func(p packet) bool { return len(f) < 2 || p.from == f[0] && p.to == f[1] }
	each := func(do func(m *Machine, peer string) []Effect) (said string) {
		for _, p := range f[1:] {
			said += w.apply(f[0], do(w.machines[f[0]], p))
		}
		return said
	}
	switch d.Cmd {
	case "world":
		*w = *newWorld(number(0), f[1:]...)
	case "wants":
		w.machines[f[0]] = New(Config{Job: "j", Self: member(f[0], number(1)), Token: "t"})
	case "start":
		return w.apply(f[0], w.machines[f[0]].Start())
	case "up":
		return each(func(m *Machine, p string) []Effect {
			if o := w.machines[p]; o != nil {
				return m.Up(o.cfg.Self)
			}
			return m.Up(member(p, w.nodes))
		})
	case "down":
		return each(func(m *Machine, p string) []Effect { return m.Down(p) })
	case "tick":
		if len(f) < 2 {
			return w.apply(f[0], w.machines[f[0]].Tick())
		}
		said := ""
		for i := range number(1) {
			if s := w.apply(f[0], w.machines[f[0]].Tick()); s != "" {
				said += fmt.Sprintf("tick %d: %s", i+1, s)
			}
		}
		return said
	case "timeout":
		return w.apply(f[0], w.machines[f[0]].Timeout())
	case "deliver":
		return w.deliver(match, false)
	case "copy":
		return w.deliver(match, true)
	case "drop":
		w.flight = nil
	case "settle":
		said := ""
		for range 100 {
			if len(w.flight) == 0 {
				return said
			}
			said += w.deliver(match, false)
		}
		return said + "NEVER SETTLES\n"
	default:
		d.Fatalf(t, "unknown command")
	}
	return ""
}

// TestTranscripts replays testdata: commands, each followed by ---- and what it
// made the machines do. Run with -rewrite to write the answers anew, and read
// the difference.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		w := &world{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return w.command(t, d) })
	})
}

// TestAnyOrderAgrees lets messages be lost, repeated and overtaken, and
// members be discovered in any order: in the end all run on the same view.
func TestAnyOrderAgrees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 5).Draw(t, "nodes")
		w := newWorld(n, strings.Split("abcde", "")[:n]...)
		for _, id := range w.ids {
			w.apply(id, w.machines[id].Start())
		}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			w.step(t, true)
		}
		for _, id := range w.ids { // then the network heals
			for _, p := range w.ids {
				w.apply(id, w.machines[id].Up(member(p, n)))
			}
		}
		w.heal()
		for _, id := range w.ids {
			v, ok := w.views[id]
			if !ok || v.Digest() != w.views["a"].Digest() {
				t.Fatalf("%s runs on %v (%v), a on %v; failed %v", id, v, ok, w.views["a"], w.failed)
			}
			if v.NodeRank(id) != strings.Index("abcde", id) || len(w.lost[id]) > 0 {
				t.Fatalf("%s: rank %d, lost %v", id, v.NodeRank(id), w.lost[id])
			}
		}
	})
}

// TestStrangersNeverShare starts more agents than the job has places: whoever
// commits shares its view with all its members or with nobody.
func TestStrangersNeverShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 3).Draw(t, "nodes")
		k := rapid.IntRange(n, 6).Draw(t, "agents")
		w := newWorld(n, strings.Split("abcdef", "")[:k]...)
		for range rapid.IntRange(0, 80).Draw(t, "steps") {
			w.step(t, true)
		}
		for _, id := range w.ids {
			for _, p := range w.ids {
				w.apply(id, w.machines[id].Up(member(p, n)))
			}
		}
		w.heal()
		for id, v := range w.views {
			for _, m := range v.Members {
				if o, ok := w.views[m.ID]; !ok || o.Digest() != v.Digest() {
					t.Fatalf("%s runs on %v with %s, which runs on %v (%v)", id, v, m.ID, o, ok)
				}
			}
		}
		for _, id := range w.ids {
			_, in := w.views[id]
			if _, out := w.failed[id]; in == out {
				t.Fatalf("%s: committed %v, failed %v", id, in, out)
			}
		}
	})
}

// step does one random thing.
func (w *world) step(t *rapid.T, lossy bool) {
	id := rapid.SampledFrom(w.ids).Draw(t, "agent")
	m := w.machines[id]
	switch rapid.IntRange(0, 5).Draw(t, "what") {
	case 0:
		p := rapid.SampledFrom(w.ids).Draw(t, "peer")
		w.apply(id, m.Up(member(p, w.nodes)))
	case 1:
		w.apply(id, m.Tick())
	case 2:
		if lossy && len(w.flight) > 0 {
			i := rapid.IntRange(0, len(w.flight)-1).Draw(t, "lose")
			w.flight = append(w.flight[:i:i], w.flight[i+1:]...)
		}
	default:
		if len(w.flight) > 0 {
			i := rapid.IntRange(0, len(w.flight)-1).Draw(t, "packet")
			p := w.flight[i]
			if rapid.Bool().Draw(t, "once") {
				w.flight = append(w.flight[:i:i], w.flight[i+1:]...)
			}
			w.apply(p.to, w.machines[p.to].Receive(p.from, p.msg))
		}
	}
}

// heal ticks and delivers until all is said.
func (w *world) heal() {
	for range 40 {
		for _, id := range w.ids {
			w.apply(id, w.machines[id].Tick())
		}
		for range 20 {
			if len(w.flight) == 0 {
				break
			}
			w.deliver(func(packet) bool { return true }, false)
		}
	}
}

func TestDigestSeesEverything(t *testing.T) {
	v := View{Epoch: 1, Job: "j", Token: "t", Members: []Member{member("a", 1)}}
	d := v.Digest()
	for name, change := range map[string]func(*View){
		"epoch":   func(v *View) { v.Epoch++ },
		"job":     func(v *View) { v.Job = "k" },
		"token":   func(v *View) { v.Token = "u" },
		"address": func(v *View) { v.Members = []Member{member("b", 1)} },
	} {
		o := v
		change(&o)
		if o.Digest() == d {
			t.Errorf("the digest does not see the %s", name)
		}
	}
	if strings.Contains(v.String(), "token") || v.Digest() != d {
		t.Errorf("String tells the secret or Digest is not stable")
	}
}
