package train

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"vgid/collective"
)

// schooled is an objective of two batches a step that notes what is prepared.
type schooled struct {
	Objective
	alone bool // its Prepare needs the device
	fail  string
	log   []string
}

func (o *schooled) Ahead() bool { return !o.alone }

func (o *schooled) Stage() error { return nil }

func (o *schooled) Draw(step int, _ Shard) [][]Sample {
	return [][]Sample{{{Key: uint32(10 * step)}}, {{Key: uint32(10*step + 1)}}}
}

func (o *schooled) Prepare(_ context.Context, step int, mine []Sample) (weight [terms]float64, err error) {
	name := fmt.Sprintf("%d/%d", step, mine[0].Key)
	o.log = append(o.log, name)
	if name == o.fail {
		err = errors.New("no picture")
	}
	weight[Learn] = float64(mine[0].Key)
	return weight, err
}

// A share is prepared once, ahead of its turn where that needs no device, and none
// past the end. An error waits for the share's turn.
func TestSharesArePreparedAhead(t *testing.T) {
	for _, c := range []struct {
		name string
		o    schooled
		want []string
	}{
		{"ahead", schooled{}, []string{"turn", "0/0", "0/1", "turn", "1/10", "turn", "1/11", "turn"}},
		{"alone", schooled{alone: true}, []string{"turn", "0/0", "turn", "0/1", "turn", "1/10", "turn", "1/11"}},
		{"failing", schooled{fail: "1/10"}, []string{"turn", "0/0", "0/1", "turn", "1/10", "turn", "failed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := &c.o
			tr := &Trainer{objective: o, comm: collective.Solo(), steps: 2}
			step := func() error {
				shares := tr.draw(tr.step)
				for i, mine := range shares {
					o.log = append(o.log, "turn")
					weight, err := tr.prepare(t.Context(), i, mine)
					if err != nil {
						o.log = append(o.log, "failed")
						return err
					}
					if weight[Learn] != float64(10*tr.step+i) {
						t.Errorf("step %d, batch %d has the weight of another: %v", tr.step, i, weight)
					}
					tr.lookAhead(t.Context(), shares, i+1)
				}
				tr.step++
				return nil
			}
			for tr.step < tr.steps && step() == nil {
			}
			if !slices.Equal(o.log, c.want) {
				t.Errorf("%v, want %v", o.log, c.want)
			}
		})
	}
}
