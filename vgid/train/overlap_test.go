package train

import (
	"context"
	"fmt"
	"maps"
	"testing"

	"vgid/collective"
	"vgid/model"
	"vgid/vgid/config"
)

// watched notes which reductions begin before the backward pass has ended.
type watched struct {
	calls
	of          *reducer
	early, late int
}

// begins is called at the beginning of a reduction. The pass has not ended as long as the
// reducer waits for the last gradients: that they are final is the last it hears of it.
func (w *watched) begins() {
	if w.of.final < len(w.of.buckets) {
		w.early++
	} else {
		w.late++
	}
}

func (w *watched) AllReduce(ctx context.Context, b collective.Buf, op collective.Op) *collective.Handle {
	w.begins()
	return w.calls.AllReduce(ctx, b, op)
}

func (w *watched) ReduceScatter(ctx context.Context, in, out collective.Buf, op collective.Op) *collective.Handle {
	w.begins()
	return w.calls.ReduceScatter(ctx, in, out, op)
}

// supervised is the objective of fine-tuning, as distilling is of the methods.
func supervised(t *testing.T, c config.Config, m *model.Model, enc *Encoder) (Objective, error) {
	obj, err := distilling(t, c, m, enc) // for what is trained, and the people
	if err != nil {
		return nil, err
	}
	obj.Close()
	c.Train.Accumulate = c.Unlearn.Accumulate
	return NewSupervised(m, enc, obj.(*distill).forget, c.Train), nil
}

// Whatever a stage trains for, gradients are on their way before the backward pass of
// an update has ended, and each bucket is sent once.
func TestGradientsTravelDuringTheBackwardPass(t *testing.T) {
	for _, name := range append([]string{"supervised"}, methodNames()...) {
		for _, way := range []map[string]string{
			{},
			{"unlearn.lora.r": "0", "unlearn.text_only": "0.5"},
			{"unlearn.recompute": "true", "unlearn.accumulate": "3"},
			{"unlearn.alternate": "true", "unlearn.accumulate": "2", "collective.zero": "1"},
		} {
			t.Run(fmt.Sprint(name, " ", way), func(t *testing.T) {
				of, over := supervised, maps.Clone(way)
				if name != "supervised" {
					of, over["unlearn.method"] = distilling, name
				}
				w := crewOf(t, sharding(t, over, false, "4"), 2, of)
				watch := make([]*watched, len(w.trainers))
				for r, tr := range w.trainers {
					w.models[r].Recompute = over["unlearn.recompute"] != ""
					watch[r] = &watched{calls: tr.reducer.calls, of: tr.reducer}
					tr.reducer.calls = watch[r]
				}
				updates := len(w.trainers[0].draw(0))
				w.train(t, 1)
				for r, x := range watch {
					buckets := len(w.trainers[r].reducer.buckets)
					if x.early+x.late != updates*buckets {
						t.Errorf("rank %d: %d reductions of %d buckets in %d updates", r, x.early+x.late, buckets, updates)
					}
					if x.early < updates {
						t.Errorf("rank %d: %d of %d reductions began before the end of the pass, in %d updates", r, x.early, x.early+x.late, updates)
					}
				}
			})
		}
	}
}
