package run

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"vgid/collective"
	"vgid/collective/mem"
	"vgid/eval/dataset"
	"vgid/eval/formats"
	"vgid/model"
	"vgid/model/adapter/peft"
	"vgid/model/backend"
	"vgid/model/cpu"
	"vgid/model/hf"
	"vgid/model/hf/modeldir"
	"vgid/vgid/config"
	"vgid/vgid/monitor"
	"vgid/vgid/run/barrier"
	"vgid/vgid/run/inputs"
	"vgid/vgid/run/rundir"
	"vgid/vgid/vgidtest"
)

func TestMain(m *testing.M) { vgidtest.Main(m) }

// change is how a test has a rank's options other than usual.
type change func(rank int, o *Options)

// onWorld runs f on n workers in this process, each with a device of its own.
func onWorld(t *testing.T, n int, c config.Config, f func(ctx context.Context, j *Job) error, changes ...change) {
	t.Helper()
	onDevices(t, n, c, func() (backend.Backend, error) { return cpu.New(1), nil }, f, changes...)
}

// onDevices is onWorld with devices of another kind.
func onDevices(t *testing.T, n int, c config.Config, open func() (backend.Backend, error), f func(ctx context.Context, j *Job) error, changes ...change) {
	t.Helper()
	for r, err := range tryDevices(t, n, c, open, f, changes...) {
		if err != nil {
			t.Fatalf("world %d, rank %d: %v", n, r, err)
		}
	}
}

// tryWorld is onWorld for what may fail: it gives every rank's error.
func tryWorld(t *testing.T, n int, c config.Config, f func(ctx context.Context, j *Job) error, changes ...change) []error {
	t.Helper()
	return tryDevices(t, n, c, func() (backend.Backend, error) { return cpu.New(1), nil }, f, changes...)
}

// tryDevices is onDevices for what may fail: it gives every rank's error. As in a
// job of processes, a rank that ends only closes its communicator: the others end
// their last call, or learn in their next one that it left. The context of f knows
// how to ask the rank to end: asking.
func tryDevices(t *testing.T, n int, c config.Config, open func() (backend.Backend, error), f func(ctx context.Context, j *Job) error, changes ...change) []error {
	t.Helper()
	var wg sync.WaitGroup
	errs := make([]error, n)
	transports := mem.New(n)
	shared := opened(t, "llava")
	for r := range n {
		wg.Go(func() {
			comm := collective.Solo()
			if n > 1 {
				var err error
				if comm, err = collective.New(transports[r], collective.Options{Timeout: c.Collective.Timeout}); err != nil {
					errs[r] = err
					return
				}
			}
			defer comm.Close()
			be, err := open()
			if err != nil {
				errs[r] = err
				return
			}
			asked, ask := context.WithCancelCause(context.Background())
			o := Options{
				Config: c, Comm: comm, Backend: be, Show: monitor.NewProgress(nil), Asked: asked, Spell: asFlag, Opened: shared,
				Metrics: monitor.NewMetrics(r, n, func() (uint64, uint64) { return 0, 0 }),
			}
			for _, f := range changes {
				f(r, &o)
			}
			errs[r] = f(context.WithValue(t.Context(), asker{}, ask), New(o))
			if err := be.Close(); err != nil && errs[r] == nil {
				errs[r] = err
			}
		})
	}
	wg.Wait()
	return errs
}

// opened are the folders of a family's shared world. They are parsed once for all tests:
// whoever reads is to find them unchanged, so that a test that writes to what it reads, or
// counts how often it is read, has a world of its own.
func opened(t *testing.T, family string) inputs.Opened {
	t.Helper()
	worlds.Lock()
	defer worlds.Unlock()
	if o, ok := worlds.opened[family]; ok {
		return o
	}
	w := vgidtest.Shared(t, family)
	b, err := formats.Open(w.Data)
	if err != nil {
		t.Fatal(err)
	}
	o := inputs.Opened{Models: []*modeldir.Dir{modeldir.Open(w.Model)}, Benchmarks: []*dataset.Benchmark{b}}
	worlds.opened[family] = o
	return o
}

var worlds = struct {
	sync.Mutex
	opened map[string]inputs.Opened
}{opened: map[string]inputs.Opened{}}

// asFlag spells settings as cmd/vgid does.
func asFlag(path, value string) string { return strings.TrimSpace("--" + path + " " + value) }

type asker struct{}

// asking lets a test ask the rank of a context to end.
func asking(ctx context.Context) func(syscall.Signal) {
	ask := ctx.Value(asker{}).(context.CancelCauseFunc)
	return func(s syscall.Signal) { ask(&barrier.Interrupted{Signal: s}) }
}

func readModel(t *testing.T, dir string) map[string][]float32 {
	t.Helper()
	f, err := hf.OpenWeights(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := map[string][]float32{}
	for _, n := range f.Names() {
		info, _ := f.Info(n)
		v := make([]float32, info.Elements())
		if err := f.ReadF32(n, v); err != nil {
			t.Fatal(err)
		}
		out[n] = v
	}
	return out
}

// The same global batch gives the same run on any number of workers.
func TestWorldSizeDoesNotMatter(t *testing.T) {
	long(t)
	unlearn := func(ctx context.Context, j *Job, p *inputs.People, base string) (rundir.Stage, error) {
		return j.Unlearn(ctx, "unlearned", base, p)
	}
	for _, tc := range []struct {
		name string
		over map[string]string
		run  func(ctx context.Context, j *Job, p *inputs.People, base string) (rundir.Stage, error)
	}{
		{"supervised", nil, func(ctx context.Context, j *Job, p *inputs.People, base string) (rundir.Stage, error) {
			return j.Reference(ctx, "vanilla", base, p)
		}},
		{"vgid", nil, unlearn},
		{"vgid, full weights, rollouts", map[string]string{"unlearn.lora.r": "0", "unlearn.responses": "rollout"}, unlearn},
		{"graddiff", map[string]string{"unlearn.method": "graddiff", "unlearn.accumulate": "2"}, unlearn},
		{"npo", map[string]string{"unlearn.method": "npo", "unlearn.balance": "true"}, unlearn},
		{"npo, full weights, in turn", map[string]string{"unlearn.method": "npo", "unlearn.lora.r": "0", "unlearn.alternate": "true", "unlearn.accumulate": "2"}, unlearn},
		{"release preset", map[string]string{"unlearn.preset": "release", "unlearn.lora.dropout": "0.1"}, unlearn},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var curve []Point
			var weights map[string][]float32
			for n := 1; n <= 4; n++ {
				c := vgidtest.Small(t, tc.over)
				c.Name = fmt.Sprintf("w%d", n)
				c.Train.Steps, c.Unlearn.Steps = 3, 3 // both turns of those that alternate, and the first one's again
				c.Collective.Bucket = 16              // several buckets
				var stage rundir.Stage
				onWorld(t, n, c, func(ctx context.Context, j *Job) error {
					p, err := j.People(ctx)
					if err != nil {
						return err
					}
					s, err := tc.run(ctx, j, p, c.Model.Base)
					if j.ranks.Rank() == 0 {
						stage = s
					}
					return err
				})
				timed(t, filepath.Join(c.Out, c.Name, stage.Name, "timing.jsonl"), n)
				h, err := ReadHistory(filepath.Join(c.Out, c.Name, stage.Name, "history.jsonl"))
				if err != nil || len(h) != 3 {
					t.Fatalf("history: %v, %d steps", err, len(h))
				}
				w := readModel(t, stage.Model)
				if n == 1 {
					curve, weights = h, w
					if moved(t, w, readModel(t, c.Model.Base)) < 1e-4 {
						t.Fatal("training moved no weight")
					}
					continue
				}
				for i, p := range h {
					// A divergence near zero is a difference of equal numbers, so
					// it is compared on the scale of the whole loss.
					var whole float64
					for _, l := range p.Loss {
						whole += l
					}
					for term, l := range p.Loss {
						if want := curve[i].Loss[term]; math.Abs(l-want) > 1e-5*whole {
							t.Errorf("%d workers, step %d: %s loss %.9g, one worker %.9g", n, p.Step, term, l, want)
						}
					}
				}
				if d := moved(t, w, weights); d > 2e-4 {
					t.Errorf("%d workers end %g away from one worker", n, d)
				}
			}
		})
	}
}

// PEFT's options reach the adapter that is written, and the options of the base
// the training.
func TestAdapterOptions(t *testing.T) {
	c := vgidtest.Small(t, map[string]string{
		"unlearn.lora.rslora": "true", "unlearn.lora.exclude": "k_proj", "unlearn.lora.bias": "none",
		"unlearn.lora.modules_to_save": "multi_modal_projector", "model.weights": "bfloat16",
	})
	var stage rundir.Stage
	onWorld(t, 1, c, func(ctx context.Context, j *Job) error {
		p, err := j.People(ctx)
		if err != nil {
			return err
		}
		stage, err = j.Unlearn(ctx, "unlearned", c.Model.Base, p)
		return err
	})
	a, files, err := peft.Read(stage.Adapter)
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	if !a.UseRSLora || !slices.Equal(a.ModulesToSave, []string{"multi_modal_projector"}) {
		t.Errorf("adapter_config.json has use_rslora %v and modules_to_save %v", a.UseRSLora, a.ModulesToSave)
	}
	var whole, excluded int
	for _, n := range files.Names() {
		if strings.Contains(n, "multi_modal_projector") {
			whole++
		}
		if strings.Contains(n, "k_proj") {
			excluded++
		}
	}
	if whole == 0 || excluded != 0 {
		t.Errorf("the adapter holds %d tensors of the module to save and %d of the one excluded", whole, excluded)
	}
}

// moved is the largest difference between two models.
func moved(t *testing.T, a, b map[string][]float32) float64 {
	t.Helper()
	if len(a) != len(b) {
		t.Fatalf("%d tensors against %d", len(a), len(b))
	}
	var d float64
	for n, x := range a {
		for i := range x {
			d = max(d, math.Abs(float64(x[i])-float64(b[n][i])))
		}
	}
	return d
}

// A run stopped after a checkpoint and resumed is, to the bit, the run that
// was never stopped.
func TestResumeIsExact(t *testing.T) {
	if testing.Short() {
		t.Skip("trains in whole stages")
	}
	run := func(c config.Config, workers, stopAfter int) (rundir.Stage, error) {
		var stage rundir.Stage
		var first error
		onWorld(t, workers, c, func(ctx context.Context, j *Job) error {
			p, err := j.People(ctx)
			if err != nil {
				return err
			}
			j.afterStep = func(step int) error {
				if step == stopAfter {
					return errors.New("stopped for a test")
				}
				return nil
			}
			s, err := j.Unlearn(ctx, "unlearned", c.Model.Base, p)
			if j.ranks.Rank() == 0 {
				stage, first = s, err
			}
			if stopAfter > 0 {
				return nil
			}
			return err
		})
		return stage, first
	}
	for _, tc := range []struct {
		workers int
		method  string
		zero    int // of the run that is stopped
	}{{1, "vgid", 0}, {2, "vgid", 0}, {2, "npo", 1}, {3, "vgid", 1}} {
		workers := tc.workers
		c := vgidtest.Small(t, map[string]string{"unlearn.method": tc.method, "unlearn.steps": "9", "checkpoint.every": "3", "unlearn.lora.dropout": "0.1"})
		c.Name = "whole"
		whole, err := run(c, workers, 0)
		if err != nil {
			t.Fatal(err)
		}
		c.Name, c.Collective.Zero = "parts", tc.zero
		if _, err := run(c, workers, 7); err == nil {
			t.Fatal("the run was not stopped")
		}
		c.Resume, c.Collective.Zero = true, 1-tc.zero // who updates what is no matter
		parts, err := run(c, workers, 0)
		if err != nil {
			t.Fatal(err)
		}
		if d := moved(t, readModel(t, whole.Model), readModel(t, parts.Model)); d != 0 {
			t.Errorf("%s, %d workers: the resumed run ends %g away", tc.method, workers, d)
		}
		a, err := os.ReadFile(filepath.Join(c.Out, "whole", "unlearned", "history.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(c.Out, "parts", "unlearned", "history.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		if string(a) != string(b) {
			t.Error("the histories differ")
		}
	}
}

// The whole job runs on two workers and leaves its files.
func TestRunEndToEnd(t *testing.T) {
	c := vgidtest.Small(t, map[string]string{"unlearn.steps": "2", "train.steps": "2"})
	onWorld(t, 2, c, func(ctx context.Context, j *Job) error {
		if err := j.Open(ctx); err != nil {
			return err
		}
		return j.Run(ctx)
	})
	for _, f := range []string{
		"config.yaml", "summary.json", "report.html", "vanilla/model/model.safetensors", "gold/model/config.json",
		"unlearned/model/tokenizer.json", "unlearned/adapter/adapter_model.safetensors", "unlearned/answers.jsonl",
	} {
		if _, err := os.Stat(filepath.Join(c.Out, c.Name, f)); err != nil {
			t.Error(err)
		}
	}
	// The merged model is the base with the adapter.
	be := cpu.New(1)
	defer be.Close()
	m, err := model.Load(t.Context(), be, filepath.Join(c.Out, c.Name, "unlearned", "model"))
	if err != nil {
		t.Fatal(err)
	}
	m.Close()
}

// A run's folder is its own until it ends.
func TestOneRunInAFolder(t *testing.T) {
	c := vgidtest.Small(t, nil)
	first := New(Options{Config: c, Comm: collective.Solo(), Show: monitor.NewProgress(nil)})
	second := New(Options{Config: c, Comm: collective.Solo(), Show: monitor.NewProgress(nil)})
	if err := first.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := second.Open(t.Context()); err == nil || !strings.Contains(err.Error(), "another run is at work in "+first.Dir()) {
		t.Errorf("a second run in the same folder: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := second.Open(t.Context()); err != nil {
		t.Errorf("after the first ended: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
}

// Workers that were not asked the same do not begin, and all say what differs.
func TestWorkersThatDisagreeAreTold(t *testing.T) {
	for want, other := range map[string]func(o *Options){
		"rank 0 has unlearn.alpha: 1, rank 1 has unlearn.alpha: 3":  func(o *Options) { o.Config.Unlearn.Alpha = 3 },
		"rank 0 has resume: false, rank 1 has resume: true":         func(o *Options) { o.Config.Resume = true },
		"rank 0 has command unlearn, rank 1 has command train gold": func(o *Options) { o.Command = "train gold" },
	} {
		for r, err := range tryWorld(t, 2, vgidtest.Small(t, nil), func(ctx context.Context, j *Job) error { return j.Open(ctx) }, func(rank int, o *Options) {
			if o.Command = "unlearn"; rank == 1 {
				other(o)
			}
		}) {
			if err == nil || !containsLine(err.Error(), want) {
				t.Errorf("rank %d: %v, want …%s…", r, err, want)
			}
		}
	}
}

func containsLine(s, want string) bool {
	return strings.Contains(s, want) && !strings.Contains(s, "\n")
}

// long skips a test where only a part of them has time: one of several that train
// or evaluate in whole stages.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIPPED: trains or evaluates in whole stages")
	}
}
