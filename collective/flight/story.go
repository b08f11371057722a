package flight

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"vgid/collective/internal/chain"
)

// line tells the story: ranks that made different calls, else ranks that wait for
// each other, else whom the others wait for, else where all are.
func (m *merger) line(missing []int) string {
	line := m.mismatch()
	if line == "" {
		line = m.waits()
	}
	if line == "" {
		line = m.together()
	}
	return line + m.unsaid(missing)
}

// unsaid tells of ranks without a record that a line does not speak of as such.
func (m *merger) unsaid(missing []int) string {
	missing = slices.DeleteFunc(slices.Clone(missing), func(r int) bool { return m.told[r] })
	if len(missing) == 0 {
		return ""
	}
	text := fmt.Sprintf("; no record of %s here", Ranks(missing))
	if age, ok := m.heard[missing[0]]; ok && len(missing) == 1 {
		text += fmt.Sprintf(", last heard of %s before", Span(age))
	}
	return text
}

// made is a call with the rank that made it.
type made struct {
	rank int
	call *Call
}

// mismatch finds the first call of a communicator that ranks made differently.
func (m *merger) mismatch() string {
	type key struct {
		comm   uint32
		number uint64
	}
	all := map[key][]made{}
	for i := range m.records {
		r := &m.records[i]
		for j := range r.Calls {
			if c := &r.Calls[j]; c.Key != "" && c.Number > 0 {
				k := key{c.Comm, c.Number}
				if g := all[k]; len(g) == 0 || g[len(g)-1].rank != r.Rank {
					all[k] = append(g, made{r.Rank, c})
				}
			}
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(all), func(a, b key) int {
		return cmp.Or(cmp.Compare(a.comm, b.comm), cmp.Compare(a.number, b.number))
	}) {
		if line := differing(all[k], len(m.members[k.comm])); line != "" {
			return line
		}
	}
	return ""
}

// differing tells of calls of one number that are not all the same, of n ranks.
func differing(calls []made, n int) string {
	groups := map[string][]made{}
	for _, c := range calls {
		groups[c.call.Key] = append(groups[c.call.Key], c)
	}
	if len(groups) < 2 {
		return ""
	}
	// The most ranks are right, as far as anybody can say.
	sorted := slices.SortedFunc(maps.Values(groups), func(a, b []made) int {
		return cmp.Or(cmp.Compare(len(a), len(b)), -cmp.Compare(a[0].rank, b[0].rank))
	})
	var parts []string
	for i, g := range sorted {
		who := Ranks(ranksOf(g))
		if i == len(sorted)-1 && len(calls) == n && len(g) > 1 {
			who = "all others"
		}
		parts = append(parts, fmt.Sprintf("%s made %s", who, g[0].call.Words()))
	}
	return strings.Join(parts, ", ") + fmt.Sprintf(", as call #%d of communicator %d", calls[0].call.Number, calls[0].call.Comm)
}

func ranksOf(g []made) (out []int) {
	for _, c := range g {
		out = append(out, c.rank)
	}
	return out
}

// wait is what a rank waits in, and for whom.
type wait struct {
	rank int
	what string
	took float64
	on   []int
}

// waitsOf lists the waits of a rank.
func (m *merger) waitsOf(rank int) (out []wait) {
	r := m.has[rank]
	if r == nil {
		for _, c := range slices.Sorted(maps.Keys(m.members)) {
			if p, ok := m.places[pen{c, rank}]; ok && p.in() {
				out = m.add(out, wait{rank, fmt.Sprintf("at %s #%d", p.call, p.at/2) + ofComm(c), 0, m.behind(c, rank, p.at)})
			}
		}
		return out
	}
	for i := range r.Calls {
		c := &r.Calls[i]
		switch {
		case !c.State.Open() || c.State == Queued:
		case c.Peer == NoRank && c.Number > 0:
			out = m.add(out, wait{rank, "at " + c.Words(), c.Took, m.behind(c.Comm, rank, 2*c.Number)})
		case c.Peer != NoRank && c.State == Waiting:
			out = m.add(out, wait{rank, "in " + c.Words(), c.Took, []int{c.Peer}})
		}
	}
	return out
}

func (m *merger) add(out []wait, w wait) []wait {
	if len(w.on) > 0 {
		out = append(out, w)
	}
	return out
}

// behind are the ranks of a communicator that have not come to where one is.
func (m *merger) behind(comm uint32, rank int, at uint64) (out []int) {
	for _, r := range m.members[comm] {
		if p, ok := m.places[pen{comm, r}]; ok && r != rank && p.at < at {
			out = append(out, r)
		}
	}
	return out
}

// waits follows who waits for whom.
func (m *merger) waits() string {
	var waiting []int
	var all []wait
	world := map[int][]int{}
	for r := range m.records[0].World {
		for _, w := range m.waitsOf(r) {
			all = append(all, w)
			world[r] = append(world[r], w.on...)
			if !slices.Contains(waiting, r) {
				waiting = append(waiting, r)
			}
		}
	}
	roots, cycle := chain.Find(waiting, func(r int) []int { return world[r] })
	switch {
	case cycle != nil:
		var parts []string
		for i, r := range cycle {
			next := cycle[(i+1)%len(cycle)]
			w := all[slices.IndexFunc(all, func(w wait) bool { return w.rank == r && slices.Contains(w.on, next) })]
			parts = append(parts, fmt.Sprintf("rank %d %s for %s", r, w.what, Span(w.took)))
		}
		return fmt.Sprintf("%s wait for each other: %s", Ranks(slices.Sorted(slices.Values(cycle))), strings.Join(parts, ", "))
	case len(waiting) > 0:
		return fmt.Sprintf("%s, %s", m.where(roots), m.others(all, roots))
	}
	return ""
}

// where says where ranks are that others wait for.
func (m *merger) where(ranks []int) string {
	texts := map[string][]int{}
	var order []string
	for _, r := range ranks {
		text := m.whereIs(r)
		if texts[text] == nil {
			order = append(order, text)
		}
		texts[text] = append(texts[text], r)
	}
	for i, text := range order {
		be := "is"
		if len(texts[text]) > 1 {
			be = "are"
		}
		if strings.HasPrefix(text, lastHeard) {
			be = strings.Replace(be, "is", "was", 1)
			be = strings.Replace(be, "are", "were", 1)
		}
		order[i] = fmt.Sprintf("%s %s %s", Ranks(texts[text]), be, text)
	}
	return strings.Join(order, ", ")
}

// whereIs says where a rank is, by the communicator of the most ranks.
func (m *merger) whereIs(rank int) string {
	best, size := place{}, 0
	var comm uint32
	for c, members := range m.members {
		if p, ok := m.places[pen{c, rank}]; ok && (len(members) > size || len(members) == size && c < comm) {
			best, comm, size = p, c, len(members)
		}
	}
	text := "past"
	switch {
	case best.at < 2:
		text = "before its first call"
	case best.in():
		text = "at"
	case best.left:
		text = "gone after"
	}
	if best.at >= 2 {
		text += fmt.Sprintf(" %s #%d", best.call, best.at/2) + ofComm(comm)
	}
	if age, ok := m.heard[rank]; ok {
		m.told[rank] = true
		text = fmt.Sprintf("%s %s before, %s (no record here)", lastHeard, Span(age), text)
	}
	return text
}

// lastHeard begins the words for a rank that left no record.
const lastHeard = "last heard of"

// others says what the ranks wait in that are no roots.
func (m *merger) others(all []wait, roots []int) string {
	type group struct {
		ranks []int
		took  float64
	}
	groups := map[string]*group{}
	var order []string
	for _, w := range all {
		g := groups[w.what]
		if g == nil {
			g = &group{}
			groups[w.what] = g
			order = append(order, w.what)
		}
		g.ranks, g.took = append(g.ranks, w.rank), max(g.took, w.took)
	}
	for i, what := range order {
		g := groups[what]
		who := Ranks(g.ranks)
		if n := len(g.ranks); n > 1 && n+len(roots) == m.records[0].World {
			who = "all others"
		}
		order[i] = fmt.Sprintf("%s %s", who, what)
		if g.took > 0 {
			order[i] += " for " + Span(g.took)
		}
	}
	return strings.Join(order, ", ")
}

// together says where the ranks are when none of them waits for one that has not
// come.
func (m *merger) together() string {
	texts := map[string][]int{}
	for i := range m.records {
		for j := range m.records[i].Calls {
			if c := &m.records[i].Calls[j]; c.State.Open() && c.State != Queued {
				texts[c.Words()] = append(texts[c.Words()], m.records[i].Rank)
			}
		}
	}
	var parts []string
	for _, text := range slices.Sorted(maps.Keys(texts)) {
		who := Ranks(texts[text])
		switch len(texts[text]) {
		case 1:
			who += " is"
		case m.records[0].World:
			who = "all ranks are"
		default:
			who += " are"
		}
		parts = append(parts, who+" in "+text)
	}
	if parts == nil {
		return "no rank was in a call"
	}
	return strings.Join(parts, ", ")
}
