package train

import (
	"context"
	"slices"
	"strings"
	"testing"

	"vgid/collective"
	"vgid/vgid/config"
	"vgid/vgid/vgidtest"
)

// A method that nobody else knows, gradient ascent: L = -α·E_forget CE(p(·| I, q), y).
// This registration and the type below are all there is to say of it.
func init() {
	Register(Method{
		Name: "onefile", Order: 100, Loss: "cross-entropy", Doc: "up the cross-entropy of answers to forget",
		New: func(s Setup) (Objective, error) {
			s.Retain = nil
			return &onefileAscent{pair: newPair(&s), Setup: s, losses: rowLosses{be: s.Student.Backend()}}, nil
		},
	})
}

type onefileAscent struct {
	pair
	Setup
	losses rowLosses
}

func (o *onefileAscent) Terms() []Term { return pairTerms(-o.Config.Alpha, 0) }

func (o *onefileAscent) Prepare(ctx context.Context, _ int, share []Sample) (Batch, error) {
	return prepare(ctx, o.batch(), o.Encoder, o.Config.Balance, share)
}

func (o *onefileAscent) batch() lister {
	return &answerBatch{rowBatch: newRowBatch(o.Terms(), o.Config.Accumulate, &o.losses), model: o.Student}
}

func (o *onefileAscent) Length(_ int, s Sample) (int, error) {
	v, err := o.Encoder.Encode(s, "", unseen)
	return v.Rows(), err
}

func (o *onefileAscent) Close() { o.losses.close() }

// A method that is added in one file is a value of the setting, with its line in
// help, and trains.
func TestMethodIsOneFile(t *testing.T) {
	c := vgidtest.Small(t, map[string]string{"unlearn.method": "onefile", "unlearn.optim.lr": "1e-2", "unlearn.optim.schedule": "constant"})
	for _, f := range config.Fields() {
		if f.Path == "unlearn.method" && (!slices.Contains(f.Values, "onefile") || !strings.Contains(f.Doc, "onefile: up the cross-entropy")) {
			t.Errorf("help says %s, %q", f.Doc, f.Values)
		}
	}
	m, enc := opened(t, c)
	obj, err := distilling(t, c, m, enc)
	if err != nil {
		t.Fatal(err)
	}
	defer obj.Close()
	tr, err := NewTrainer(t.Context(), m, obj, Options{Comm: collective.Solo(), Optim: c.Unlearn.Optim, Steps: 4, Seed: c.Seed})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	var curve []float64
	for range 4 {
		r, err := tr.Step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Loss) != 1 {
			t.Errorf("losses %v of a method that only forgets", r.Loss)
		}
		curve = append(curve, r.Loss[ForgetTerm])
	}
	if curve[0] <= 0 || curve[3] <= curve[0] {
		t.Errorf("the cross-entropy of answers to forget goes %v", curve)
	}
}

// Two methods of one name would leave it to chance which trains.
func TestMethodIsRegisteredOnce(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a second method of the same name is accepted")
		}
	}()
	Register(Method{Name: "npo", New: func(Setup) (Objective, error) { return nil, nil }})
}
