package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"vgid/collective"
)

// schooled is an objective of two batches a step that notes what happens to them.
type schooled struct {
	Objective
	fail string // the event that fails
	log  []string
	held int // batches that are not released
}

func (o *schooled) note(event string) error {
	o.log = append(o.log, event)
	if event == o.fail {
		return errors.New("no picture")
	}
	return nil
}

func (o *schooled) Draw(step int, _ Shard) [][]Sample {
	return [][]Sample{{{Key: uint32(10 * step)}}, {{Key: uint32(10*step + 1)}}}
}

func (o *schooled) Prepare(_ context.Context, step int, share []Sample) (Batch, error) {
	b := &lesson{of: o, key: share[0].Key, name: fmt.Sprintf("%d/%d", step, share[0].Key)}
	if err := o.note(b.name); err != nil {
		return nil, err
	}
	o.held++
	return b, nil
}

// lesson is a batch of schooled.
type lesson struct {
	Batch
	of   *schooled
	key  uint32
	name string
}

func (b *lesson) Weights(context.Context) ([]float64, error) { return []float64{float64(b.key)}, nil }
func (b *lesson) Upload() error                              { return b.of.note("up " + b.name) }
func (b *lesson) Release()                                   { b.of.held-- }

// A batch is prepared and uploaded once, ahead of its turn, and none past the end. An
// error waits for the batch's turn. All are released.
func TestBatchesArePreparedAhead(t *testing.T) {
	for _, c := range []struct {
		name string
		o    schooled
		want []string
	}{
		{"ahead", schooled{}, []string{"turn", "0/0", "0/1", "up 0/1", "turn", "1/10", "up 1/10", "turn", "1/11", "up 1/11", "turn"}},
		{"failing", schooled{fail: "1/10"}, []string{"turn", "0/0", "0/1", "up 0/1", "turn", "1/10", "turn", "failed"}},
		{"failing to upload", schooled{fail: "up 0/1"}, []string{"turn", "0/0", "0/1", "up 0/1", "turn", "failed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := &c.o
			tr := &Trainer{objective: o, Options: Options{Comm: collective.Solo(), Steps: 2}}
			step := func() error {
				shares := tr.draw(tr.step)
				for i, share := range shares {
					o.log = append(o.log, "turn")
					b, err := tr.take(t.Context(), i, share)
					if err != nil {
						o.log = append(o.log, "failed")
						return err
					}
					if w, _ := b.Weights(t.Context()); w[0] != float64(10*tr.step+i) {
						t.Errorf("step %d, batch %d has the weight of another: %v", tr.step, i, w)
					}
					tr.lookAhead(t.Context(), shares, i+1)
					b.Release()
				}
				tr.step++
				return nil
			}
			for tr.step < tr.Steps && step() == nil {
			}
			tr.drop()
			if !slices.Equal(o.log, c.want) {
				t.Errorf("%v, want %v", o.log, c.want)
			}
			if o.held != 0 {
				t.Errorf("%d batches are not released", o.held)
			}
		})
	}
}

// A trainer that is restored to another step gives back what it prepared for the one
// that is not taken.
func TestBatchOfAnotherStepIsReleased(t *testing.T) {
	o := &schooled{}
	tr := &Trainer{objective: o, Options: Options{Comm: collective.Solo(), Steps: 9}}
	tr.lookAhead(t.Context(), tr.draw(0), 1)
	tr.step = 5
	b, err := tr.take(t.Context(), 1, tr.draw(5)[1])
	if err != nil {
		t.Fatal(err)
	}
	if w, _ := b.Weights(t.Context()); w[0] != 51 || o.held != 1 {
		t.Errorf("a batch of weight %v, and %d batches are held", w, o.held)
	}
}

// Where several losses are no numbers, every worker names the same one.
func TestFiniteNamesTheFirstLoss(t *testing.T) {
	tr := &Trainer{Options: Options{Stage: "unlearned"}, step: 1}
	for range 100 {
		err := tr.finite(t.Context(), &StepResult{Loss: map[string]float64{RetainTerm: math.NaN(), ForgetTerm: math.NaN()}, LR: 1})
		if err == nil || !strings.HasPrefix(err.Error(), "unlearned, step 2: the forget loss is NaN") {
			t.Fatal(err)
		}
	}
}

// A term that is all of the loss is not called twice by its name.
func TestLossName(t *testing.T) {
	for term, want := range map[string]string{LossTerm: "loss", ForgetTerm: "forget loss", RetainTerm: "retain loss"} {
		if got := lossName(term); got != want {
			t.Errorf("%s: %q, want %q", term, got, want)
		}
	}
}
