package optim

import (
	"fmt"
	"slices"
)

// Part is what one of several optimizers that share the parameters owns, or a
// piece of that: Count stretches of Len elements of the flat buffer, the first at From,
// each Stride behind the one before. It has the moments of them and updates them
// (ZeRO stage 1, Rajbhandari and others, arXiv 1910.02054).
//
// The norm of the gradients is put together of one sum for each part, so that it is
// the same bits whether one optimizer owns all of them or each another one.
type Part struct {
	From, Len, Count, Stride int
	Own                      bool
}

// stretch is a run of elements [from, to) that is owned; at is the place of the first
// in the moments.
type stretch struct{ from, to, at int }

// owned lists the stretches that are owned, in order and as long as they can be, and
// how many elements they have. Parts that do not cover n elements, each once, are
// refused.
func owned(parts []Part, n int) (own []stretch, elements int, err error) {
	type piece struct {
		from, to int
		own      bool
	}
	var all []piece
	for _, p := range parts {
		for k := range p.Count {
			if from := p.From + k*p.Stride; p.Len > 0 {
				all = append(all, piece{from, from + p.Len, p.Own})
			}
		}
	}
	slices.SortFunc(all, func(a, b piece) int { return a.from - b.from })
	at := 0
	for _, p := range all {
		if p.from != at {
			return nil, 0, fmt.Errorf("the parts leave element %d out, or have it twice", min(p.from, at))
		}
		if at = p.to; !p.own {
			continue
		}
		if k := len(own); k > 0 && own[k-1].to == p.from {
			own[k-1].to = p.to
		} else {
			own = append(own, stretch{p.from, p.to, elements})
		}
		elements += p.to - p.from
	}
	if at != n {
		return nil, 0, fmt.Errorf("the parts have %d elements, %d are trained", at, n)
	}
	return own, elements, nil
}
