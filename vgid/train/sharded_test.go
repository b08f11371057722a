package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"vgid/collective"
	"vgid/collective/mem"
	"vgid/model"
	"vgid/model/optim"
	"vgid/vgid/config"
	"vgid/vgid/monitor"
	"vgid/vgid/origin"
	"vgid/vgid/vgidtest"
)

// crew are the trainers of a world in memory, each with a model of its own.
type crew struct {
	trainers []*Trainer
	models   []*model.Model
}

// newCrew begins the unlearning of a configuration on so many workers.
func newCrew(t *testing.T, c config.Config, n int) *crew { return crewOf(t, c, n, distilling) }

// crewOf is newCrew for any objective.
func crewOf(t *testing.T, c config.Config, n int, of func(*testing.T, config.Config, *model.Model, *Encoder) (Objective, error)) *crew {
	t.Helper()
	w := &crew{trainers: make([]*Trainer, n)}
	comms, objectives := make([]*collective.Comm, n), make([]Objective, n)
	for r, tr := range mem.New(n) {
		m, enc := opened(t, c)
		obj, err := of(t, c, m, enc)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(obj.Close)
		w.models, objectives[r] = append(w.models, m), obj
		var opt collective.Options
		if c.Collective.Wire == "bfloat16" {
			opt.Wire = collective.TypeBF16
		}
		if comms[r], err = collective.New(tr, opt); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		var wg sync.WaitGroup
		for _, c := range comms {
			wg.Go(func() { _ = c.Close() })
		}
		wg.Wait()
	})
	w.each(t, func(r int) (err error) {
		w.trainers[r], err = NewTrainer(t.Context(), w.models[r], objectives[r], Options{
			Stage: "unlearned", Comm: comms[r], Optim: c.Unlearn.Optim, Steps: c.Unlearn.Steps, Seed: c.Seed,
			Bucket: c.Collective.Bucket, Sharded: c.Collective.Zero > 0,
		})
		return err
	})
	t.Cleanup(func() { w.each(t, func(r int) error { w.trainers[r].Close(); return nil }) })
	return w
}

// each does something on all workers at once.
func (w *crew) each(t *testing.T, do func(r int) error) {
	t.Helper()
	errs := make([]error, len(w.trainers))
	var wg sync.WaitGroup
	for r := range w.trainers {
		wg.Go(func() {
			if err := do(r); err != nil {
				errs[r] = fmt.Errorf("rank %d: %w", r, err)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// outcome is what steps came to: what histories tell of them, and the state behind them.
type outcome struct {
	told   []string
	arrays [3][]float32 // of stateArrays
	state  State
}

// train takes steps, and looks whether all workers hold the same parameters.
func (w *crew) train(t *testing.T, steps int) (out outcome) {
	t.Helper()
	all := make([]outcome, len(w.trainers))
	w.each(t, func(r int) error {
		for range steps {
			s, err := w.trainers[r].Step(t.Context())
			if err != nil {
				return err
			}
			all[r].told = append(all[r].told, fmt.Sprintf("%d %x %x %x", s.Step, s.Loss, s.GradNorm, s.LR))
		}
		return w.trainers[r].Keep(t.Context(), func(s State) error {
			all[r].state = s
			for i, a := range stateArrays {
				all[r].arrays[i] = make([]float32, s.Len)
				for lo := 0; lo < s.Len; lo += 1000 { // pieces that are no buckets
					if err := s.Read(a, all[r].arrays[i][lo:min(lo+1000, s.Len)], lo); err != nil {
						return err
					}
				}
			}
			return nil
		})
	})
	values := all[0].arrays[2]
	w.each(t, func(r int) error {
		mine := make([]float32, len(values))
		if err := w.trainers[r].opt.Read(optim.Values, mine, 0); err != nil {
			return err
		}
		if !slices.Equal(all[r].told, all[0].told) {
			return fmt.Errorf("it tells %v, rank 0 %v", all[r].told, all[0].told)
		}
		return same("values", mine, values)
	})
	return all[0]
}

// restore continues from a state behind step.
func (w *crew) restore(t *testing.T, step int, arrays [3][]float32) {
	t.Helper()
	w.each(t, func(r int) error {
		err := w.trainers[r].Restore(step)
		for i, a := range stateArrays {
			for lo := 0; lo < len(arrays[i]); lo += 777 {
				err = errors.Join(err, w.trainers[r].Write(a, arrays[i][lo:min(lo+777, len(arrays[i]))], lo))
			}
		}
		return err
	})
}

func same(what string, a, b []float32) error {
	if len(a) != len(b) {
		return fmt.Errorf("%d %s against %d", len(a), what, len(b))
	}
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			return fmt.Errorf("%s: element %d is %v against %v", what, i, a[i], b[i])
		}
	}
	return nil
}

// equal compares outcomes to the bit.
func equal(t *testing.T, what string, got, want outcome) {
	t.Helper()
	if !slices.Equal(got.told, want.told) {
		t.Errorf("%s tells\n%v, want\n%v", what, got.told, want.told)
	}
	for i, a := range stateArrays {
		if err := same(a.String(), got.arrays[i], want.arrays[i]); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// kinds are trainings that an optimizer sees differently.
var kinds = []struct {
	name string
	over map[string]string
}{
	{"adapter", nil},
	{"all weights, decayed", map[string]string{"unlearn.lora.r": "0", "unlearn.optim.weight_decay": "0.1"}},
	{"adapter, biases and modules", map[string]string{"unlearn.lora.modules_to_save": "multi_modal_projector", "unlearn.lora.bias": "all", "unlearn.optim.weight_decay": "0.1", "unlearn.optim.clip": "0.01"}},
	{"two updates a step, not clipped", map[string]string{"unlearn.alternate": "true", "unlearn.optim.clip": "0", "unlearn.accumulate": "2"}},
	{"all weights, rounded on the wire", map[string]string{"unlearn.lora.r": "0", "collective.wire": "bfloat16"}},
}

func sharding(t *testing.T, over map[string]string, zero bool, bucket string) config.Config {
	t.Helper()
	set := map[string]string{"unlearn.steps": "9", "unlearn.optim.lr": "0.02", "collective.bucket_kib": bucket}
	for k, v := range over {
		set[k] = v
	}
	if zero {
		set["collective.zero"] = "1"
	}
	return vgidtest.Small(t, set)
}

// Whoever updates which parameters, a run is the same to the bit: what its history tells,
// its parameters, its moments.
func TestShardingChangesNoBit(t *testing.T) {
	for i, k := range kinds {
		for n := 1; n <= 4; n++ {
			if i > 1 && n != 2+i%2 { // each in one world, the first two in all
				continue
			}
			t.Run(fmt.Sprintf("%s, %d workers", k.name, n), func(t *testing.T) {
				if testing.Short() && n != 3 {
					t.Skip("three workers stand for all")
				}
				bucket := []string{"4", "16", "100000"}[n%3]
				whole := newCrew(t, sharding(t, k.over, false, bucket), n).train(t, 3)
				parts := newCrew(t, sharding(t, k.over, true, bucket), n)
				equal(t, "the sharded run", parts.train(t, 3), whole)
				for r, tr := range parts.trainers {
					if got := tr.Sharded; got != (n > 1) {
						t.Errorf("rank %d is sharded: %v", r, got)
					}
				}
			})
		}
	}
}

// A step tells what travelled: sharded as many bytes on every link as whole. And every
// worker learns how long each worked.
func TestStepsTellTheirTraffic(t *testing.T) {
	const n = 3
	for _, zero := range []bool{false, true} {
		w := newCrew(t, sharding(t, nil, zero, "4"), n)
		all := make([]monitor.Step, n)
		w.each(t, func(r int) error {
			s, err := w.trainers[r].Step(t.Context())
			all[r] = s.Phases
			return err
		})
		bytes := int64(4 * w.models[0].Flat().Len())
		bus := float64(bytes) * 2 * (n - 1) / n
		if zero {
			bytes *= 2 // gradients, and parameters
		}
		for r, s := range all {
			c := s.Comm
			if c.Bytes != bytes || math.Abs(c.Bus-bus) > 1 || c.Took <= 0 || c.Bandwidth() <= 0 {
				t.Errorf("sharded %v, rank %d: %+v, want %d bytes, %v on the bus", zero, r, c, bytes, bus)
			}
			if len(c.Waited) != n || c.Waited[r] != 0 || len(c.Worked) != n || slices.Min(c.Worked) <= 0 || !slices.Equal(c.Worked, all[0].Comm.Worked) {
				t.Errorf("sharded %v, rank %d waited %v, and knows that they worked %v, rank 0 %v", zero, r, c.Waited, c.Worked, all[0].Comm.Worked)
			}
			if own := s.Whole() - s.Exposed(); c.Worked[r] > own {
				t.Errorf("rank %d worked %v, in all of the step %v", r, c.Worked[r], own)
			}
		}
	}
}

// A checkpoint does not show how the work was shared: it is gone on from by any number of
// workers, sharded or not, to the bit as an unsharded run of that number goes on from it.
func TestShardedCheckpointFitsEveryWorld(t *testing.T) {
	if testing.Short() {
		t.Skip("trains in many worlds")
	}
	over := kinds[1].over
	c := sharding(t, over, true, "16")
	begun := newCrew(t, c, 3)
	dir := filepath.Join(t.TempDir(), "checkpoint")
	begun.train(t, 2)
	begun.each(t, func(r int) error {
		return begun.trainers[r].Keep(t.Context(), func(s State) error { return SaveCheckpoint(dir, c, origin.List{}, s) })
	})
	goesOn := begun.train(t, 2)
	file, err := LoadCheckpoint(dir, c, origin.List{}, begun.trainers[0].Layout())
	if err != nil || file == nil {
		t.Fatal(file, err)
	}
	defer file.Close()
	var arrays [3][]float32
	for i, a := range stateArrays {
		arrays[i] = make([]float32, file.Len)
		if err := file.Read(a, arrays[i], 0); err != nil {
			t.Fatal(err)
		}
	}
	if file.Step != 2 || !slices.ContainsFunc(arrays[1], func(v float32) bool { return v != 0 }) {
		t.Fatalf("a checkpoint of step %d", file.Step)
	}
	for n := 1; n <= 4; n++ {
		var want outcome
		for _, zero := range []bool{false, true} {
			w := newCrew(t, sharding(t, over, zero, "16"), n)
			w.restore(t, file.Step, arrays)
			got := w.train(t, 2)
			if !zero {
				want = got
			}
			equal(t, fmt.Sprintf("%d workers, sharded %v", n, zero), got, want)
			if n == 3 {
				equal(t, "the run that was not interrupted", goesOn, got)
			}
		}
	}
}

// A failure to save on rank 0 is its own: the others come to their end, and all go on.
func TestKeepingFailsOnRank0(t *testing.T) {
	w := newCrew(t, sharding(t, nil, true, "4"), 3)
	full := errors.New("no space left")
	w.each(t, func(r int) error {
		if _, err := w.trainers[r].Step(t.Context()); err != nil {
			return err
		}
		err := w.trainers[r].Keep(t.Context(), func(s State) error {
			if err := s.Read(optim.Moment1, make([]float32, 10), 0); err != nil {
				return err
			}
			return full
		})
		if (r == 0) != errors.Is(err, full) || r > 0 && err != nil {
			return fmt.Errorf("it ends with %w", err)
		}
		return nil
	})
	w.train(t, 1)
}

// Moments are of a worker's part alone, and parts differ by little.
func TestShardedMomentsAreParts(t *testing.T) {
	const n = 4
	w := newCrew(t, sharding(t, kinds[1].over, true, "4"), n)
	all := w.models[0].Flat().Len()
	buckets := (all*4 + 4095) / 4096
	sum := 0
	for r, tr := range w.trainers {
		own := tr.opt.Owned()
		sum += own
		if own < all/n-buckets || own > all/n+buckets {
			t.Errorf("rank %d has %d moments of %d", r, own, all)
		}
	}
	if sum != all {
		t.Errorf("the ranks have %d moments of %d", sum, all)
	}
}

// Every element is somebody's, once, whatever the sizes are; and a rank's parts are where
// a reduce-scatter of each bucket leaves its sums.
func TestCut(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n, size := rapid.IntRange(1, 400).Draw(rt, "elements"), rapid.IntRange(0, 90).Draw(rt, "bucket")
		world := rapid.IntRange(1, 7).Draw(rt, "workers")
		owner := make([]int, n)
		for i := range owner {
			owner[i] = -1
		}
		for r := range world {
			for _, p := range cut(n, size, Shard{r, world}, true) {
				if !p.Own {
					continue
				}
				for k := range p.Count {
					for i := p.From + k*p.Stride; i < p.From+k*p.Stride+p.Len; i++ {
						if owner[i] >= 0 {
							rt.Fatalf("element %d is rank %d's and rank %d's", i, owner[i], r)
						}
						owner[i] = r
					}
				}
			}
		}
		if i := slices.Index(owner, -1); i >= 0 {
			rt.Fatalf("element %d is nobody's", i)
		}
		// In a bucket ranks follow each other.
		for i := 1; i < n; i++ {
			if bucket := max(1, size); i%bucket != 0 && owner[i] < owner[i-1] {
				rt.Fatalf("element %d is rank %d's behind rank %d", i, owner[i], owner[i-1])
			}
		}
	})
}

// With ctx at its end a keeping ends too, on all workers.
func TestKeepingHonoursItsContext(t *testing.T) {
	w := newCrew(t, sharding(t, nil, true, "4"), 2)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.each(t, func(r int) error {
		if err := w.trainers[r].Keep(ctx, func(s State) error { return s.Read(optim.Moment1, make([]float32, 1), 0) }); err == nil {
			return errors.New("it kept a state")
		}
		return nil
	})
}
