package eval

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"vgid/eval/dataset"
)

// pickShots draws the people shown before a task's questions, in the order of
// the profiles they are looked up in.
func (p *Protocol) pickShots(s Set, t dataset.Task) ([]*dataset.Profile, error) {
	n, setting := p.shots(s.Name, t)
	if n == 0 {
		return nil, nil
	}
	if n >= len(s.Profiles) {
		return nil, fmt.Errorf("%s: %d people shown of the %d in set %s leave nobody to ask about; lower it or take a larger set", setting, n, len(s.Profiles), s.Name)
	}
	type drawn struct {
		id  string
		key uint64
	}
	order := make([]drawn, len(s.Profiles))
	for i := range s.Profiles {
		id := s.Profiles[i].ID
		order[i] = drawn{id, p.draw("shots", s.Name, string(t), id)}
	}
	slices.SortFunc(order, func(a, b drawn) int {
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.id, b.id))
	})
	// Who is drawn is looked up with the picture that Full_Set has of them.
	full := s.Full
	if full == nil {
		full = s.Profiles
	}
	var shown []*dataset.Profile
	for i := range full {
		if slices.ContainsFunc(order[:n], func(d drawn) bool { return d.id == full[i].ID }) {
			shown = append(shown, &full[i])
		}
	}
	if len(shown) != n {
		return nil, fmt.Errorf("set %s: the full set holds %d of the %d people to be shown before %s questions; the two files are not of one benchmark", s.Name, len(shown), n, t)
	}
	return shown, nil
}

// draw hashes what a random choice is keyed by. A hash and not a generator: the
// choice of one set does not move when another set, task or person is left out.
func (p *Protocol) draw(key ...string) uint64 {
	h := sha256.Sum256(fmt.Appendf(nil, "%d\x00%s", p.Seed, strings.Join(key, "\x00")))
	return binary.LittleEndian.Uint64(h[:8])
}
