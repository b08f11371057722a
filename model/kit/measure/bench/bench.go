// Package bench is the harness of the benches: programs that do the same work
// are measured in turn, other programs live in processes of their own, and
// reports are tables for people. A bench itself keeps only what it measures.
package bench

import (
	"context"
	"fmt"

	"vgid/model/kit/measure"
)

// Program is one of several that do the same work; S is what is measured of it
// in a round.
type Program[S any] struct {
	Name    string // begins its errors, where there is one
	Measure func(ctx context.Context, round int) (S, error)
	Rounds  []S // filled by InTurn
}

// InTurn measures every program once in each round, so that what else happens on
// the machine meanwhile falls on all of them. Each round begins with another
// program: none always comes first.
func InTurn[S any](ctx context.Context, rounds int, programs ...*Program[S]) error {
	for round := range rounds {
		for i := range programs {
			if err := ctx.Err(); err != nil {
				return err
			}
			p := programs[(i+round)%len(programs)]
			s, err := p.Measure(ctx, round)
			if err != nil && p.Name != "" {
				err = fmt.Errorf("%s: %w", p.Name, err)
			}
			if err != nil {
				return err
			}
			p.Rounds = append(p.Rounds, s)
		}
	}
	return nil
}

// Median is the median over the rounds of a figure; 0 without rounds.
func (p *Program[S]) Median(figure func(S) float64) float64 {
	var all []float64
	for _, s := range p.Rounds {
		all = append(all, figure(s))
	}
	return measure.Median(all)
}

// Ratio is the median over the rounds of p's figure divided by the one of other
// in the same round, which both measured under like conditions.
func (p *Program[S]) Ratio(other *Program[S], figure func(S) float64) float64 {
	var all []float64
	for i := range min(len(p.Rounds), len(other.Rounds)) {
		all = append(all, figure(p.Rounds[i])/figure(other.Rounds[i]))
	}
	return measure.Median(all)
}
