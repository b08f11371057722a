package preflight

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"vgid/eval/formats"
	"vgid/model/backend"
	"vgid/model/cpu"
	"vgid/model/hf/modeldir"
	"vgid/vgid/config"
	"vgid/vgid/run/barrier"
	"vgid/vgid/run/barrier/barriertest"
	"vgid/vgid/train"
	"vgid/vgid/vgidtest"
)

func TestMain(m *testing.M) { vgidtest.Main(m) }

// bounded is a CPU that says how much memory is free.
type bounded struct {
	backend.Backend
	free int64
}

func (b bounded) FreeBytes() (int64, error) { return b.free, nil }

// stage is the configuration of a supervised one in the small world, and what makes
// the stage: anew for every rank, as each has its own folder and samples.
func stage(t *testing.T, over map[string]string) (config.Config, func() *Training) {
	t.Helper()
	w := vgidtest.Shared(t, "llava")
	c, err := config.Load("", w.Settings(over))
	if err != nil {
		t.Fatal(err)
	}
	b, err := formats.Open(w.Data)
	if err != nil {
		t.Fatal(err)
	}
	people, err := b.Training("retain_80")
	if err != nil {
		t.Fatal(err)
	}
	return c, func() *Training {
		src, err := train.NewPeople(people, c.Train.Mix, c.Train.TextOnly, c.Seed, "gold", c.Prompt.Subject)
		if err != nil {
			t.Fatal(err)
		}
		dir := modeldir.Open(w.Model)
		t.Cleanup(func() { dir.Close() })
		return &Training{
			Name: "gold", From: dir, Section: "train", Steps: 3, Optim: c.Train.Optim,
			Fits: func(*train.Encoder) error { return nil },
			Begin: func(s Setup) (train.Objective, error) {
				if !s.Rehearsal {
					t.Error("the stage is begun in earnest")
				}
				if _, err := s.Model.Trainable("*"); err != nil {
					return nil, err
				}
				s.Model.Recompute = s.Config.Train.Recompute
				return train.NewSupervised(s.Model, s.Encoder, src, s.Config.Train), nil
			},
		}
	}
}

// check is the check of a stage on ranks that see so much memory free, each at its
// place.
func check(t *testing.T, c config.Config, fresh func() *Training, free int64, places ...string) []error {
	t.Helper()
	stages := make([]*Training, len(places))
	for r := range stages {
		stages[r] = fresh()
	}
	return barriertest.Run(t, len(places), 20*time.Second, "", func(ctx context.Context, r barriertest.Rank) error {
		be := cpu.New(1)
		defer be.Close()
		ch := Check{Ranks: r.Group, Backend: bounded{be, free}, Place: places[r.Rank()], Spell: config.Plain}
		_, err := ch.Training(ctx, c, stages[r.Rank()])
		return err
	})
}

// need is what a stage takes on a rank alone.
func need(t *testing.T, c config.Config, fresh func() *Training) *MemoryError {
	t.Helper()
	var short *MemoryError
	if err := check(t, c, fresh, 1, "a")[0]; !errors.As(err, &short) {
		t.Fatalf("a byte of memory is enough: %v", err)
	}
	return short
}

// A stage is refused when a byte is missing and not when it is there; what is advised
// brings what it says, tried out with that setting.
func TestTraining(t *testing.T) {
	c, fresh := stage(t, nil)
	whole := need(t, c, fresh)
	var short *MemoryError
	if err := check(t, c, fresh, whole.Need-1, "a")[0]; !errors.As(err, &short) || short.Free != whole.Need-1 || !short.Advice.Enough {
		t.Errorf("a byte is missing: %v", err)
	}
	if err := check(t, c, fresh, whole.Need, "a")[0]; err != nil {
		t.Errorf("it fits: %v", err)
	}
	// With one byte free everything is advised that lowers the need, and it is not
	// enough.
	if whole.Advice.Enough || whole.Advice.Adapter == nil || whole.Advice.Adapter.Path != "train.lora.r" || len(whole.Advice.Settings) < 2 {
		t.Fatalf("advice %+v", whole.Advice)
	}
	var spelt []string
	last := whole.Need
	for _, a := range whole.Advice.Settings {
		switch a.Path {
		case "train.recompute":
			c.Train.Recompute = true
		case "train.accumulate":
			n, err := strconv.Atoi(a.Value)
			if err != nil {
				t.Fatal(err)
			}
			c.Train.Accumulate = n
		case "model.weights":
			c.Model.Weights = a.Value
		default:
			t.Fatalf("advice %+v", a)
		}
		spelt = append(spelt, config.Plain(a.Path, a.Value))
		if got := need(t, c, fresh).Need; got != a.Need || got >= last {
			t.Errorf("with %v it takes %d, %d were said, %d without", spelt, got, a.Need, last)
		}
		last = a.Need
	}
	if !strings.Contains(whole.Error(), "even with "+strings.Join(spelt, " ")+" it takes") {
		t.Errorf("%v does not say %v", whole, spelt)
	}
}

// Where all weights are trained by several workers, the first advice is to shard the
// optimizer's work: it changes nothing but who keeps which moments.
func TestShardingIsAdvised(t *testing.T) {
	c, fresh := stage(t, nil)
	errs := check(t, c, fresh, 1, "a", "a")
	var whole, sharded *MemoryError
	if !errors.As(errs[0], &whole) || len(whole.Advice.Settings) == 0 || whole.Advice.Settings[0].Path != "collective.zero" || whole.Advice.Settings[0].Value != "1" {
		t.Fatalf("%v", errs[0])
	}
	c.Collective.Zero = 1
	if errs := check(t, c, fresh, 1, "a", "a"); !errors.As(errs[0], &sharded) {
		t.Fatalf("%v", errs[0])
	}
	if sharded.Need >= whole.Need || sharded.Advice.Settings[0].Path == "collective.zero" {
		t.Errorf("sharded: %v, whole: %v", sharded, whole)
	}
	// What rank 0 needs, whose samples are the longer ones, is said for both.
	if said := whole.Advice.Settings[0].Need; said < sharded.Need || said >= whole.Need {
		t.Errorf("sharded it takes %d, %d were said, and %d without", sharded.Need, said, whole.Need)
	}
}

// Ranks of one place need what they need together, ranks of two each its own; whoever
// has enough is told whose place has not.
func TestPlaces(t *testing.T) {
	c, fresh := stage(t, map[string]string{"train.recompute": "true", "model.weights": "bfloat16"})
	var both *MemoryError
	if err := check(t, c, fresh, 1, "a", "a")[0]; !errors.As(err, &both) || both.Workers != 2 {
		t.Fatalf("%v", err)
	}
	for _, tc := range []struct {
		free   int64
		places []string
		short  bool
	}{
		{both.Need, []string{"a", "a"}, false},
		{both.Need - 1, []string{"a", "a"}, true},
		{both.Need - 1, []string{"a", "b"}, false},
		{1, []string{"a", "b"}, true},
	} {
		errs := check(t, c, fresh, tc.free, tc.places...)
		var short *MemoryError
		var peer *barrier.PeerError
		switch {
		case !tc.short && (errs[0] != nil || errs[1] != nil):
			t.Errorf("%v: %v", tc, errs)
		case tc.short && (!errors.As(errs[0], &short) || !errors.As(errs[1], &peer) || peer.Rank != 0 || peer.Text != errs[0].Error()):
			t.Errorf("%v: %v", tc, errs)
		}
	}
}

// What does not fit the model ends the check before anything is counted.
func TestWhatDoesNotFitIsRefusedFirst(t *testing.T) {
	c, fresh := stage(t, nil)
	odd := errors.New("question 7 is too long")
	s := fresh()
	s.Fits = func(*train.Encoder) error { return odd }
	s.Begin = func(Setup) (train.Objective, error) { t.Error("it is begun"); return nil, odd }
	if err := check(t, c, func() *Training { return s }, 1, "a")[0]; !errors.Is(err, odd) {
		t.Error(err)
	}
}

// Asked to end while the memory of a stage is counted, which takes long where a step has
// very many samples, all ranks end before the step is taken, and are not refused.
func TestCountingEndsWhenAsked(t *testing.T) {
	c, fresh := stage(t, nil)
	stages := []*Training{fresh(), fresh()}
	errs := barriertest.Run(t, 2, 20*time.Second, "", func(ctx context.Context, r barriertest.Rank) error {
		be := cpu.New(1)
		defer be.Close()
		s := stages[r.Rank()]
		begin := s.Begin
		s.Begin = func(in Setup) (train.Objective, error) {
			if r.Rank() == 1 {
				r.Ask(syscall.SIGTERM)
			}
			obj, err := begin(in)
			return endless{obj}, err
		}
		ch := Check{Ranks: r.Group, Backend: bounded{be, 1}, Place: "a", Spell: config.Plain}
		_, err := ch.Training(ctx, c, s)
		return err
	})
	for r, err := range errs {
		if i := (*barrier.Interrupted)(nil); !errors.As(err, &i) || i.Signal != syscall.SIGTERM {
			t.Errorf("rank %d ends with %v", r, err)
		}
	}
}

// endless prepares batches that never end, but by their context.
type endless struct{ train.Objective }

func (endless) Prepare(ctx context.Context, _ int, _ []train.Sample) (train.Batch, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}
