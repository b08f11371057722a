package train

import (
	"context"

	"vgid/collective"
	"vgid/model"
	"vgid/vgid/config"
)

// Sized trains by a method on sequences of given sizes that nobody encoded, with the
// passes and the memory of the method's own steps: what a step takes can be estimated
// for a model before there is a question to ask it.
type Sized struct {
	of      sizedObjective
	trainer *Trainer
}

// drawn are objectives whose batches can be filled with views.
type drawn interface {
	Objective
	batch() lister
}

// Sized begins to train m: what choose makes trainable, beside a copy of m as it was
// where all weights are (full) and the method needs one. Among more than one worker the
// optimizer's work is sharded, and this is the first of them.
func (m *Method) Sized(ctx context.Context, student *model.Model, full bool, workers int, choose func() error) (*Sized, error) {
	c := config.Default().Unlearn
	c.Method = m.Name
	s := Setup{Student: student, Config: c, Rehearsal: true}
	if m.Needs.Teacher && full {
		var err error
		if s.Teacher, err = student.Clone(); err != nil {
			return nil, err
		}
	}
	err := choose()
	var obj Objective
	if err == nil {
		obj, err = m.New(s)
	}
	if err != nil {
		if s.Teacher != nil {
			s.Teacher.Close()
		}
		return nil, err
	}
	out := &Sized{of: sizedObjective{drawn: obj.(drawn)}}
	// What is prepared ahead takes memory only where it moves beside the operations.
	steps := 1
	if student.Backend().Traits().Overlaps {
		steps = 2
	}
	out.trainer, err = NewTrainer(ctx, student, &out.of, Options{
		Stage: m.Name, Comm: collective.Solo(), Optim: c.Optim, Steps: steps,
		Shard: Shard{0, max(1, workers)}, Sharded: true, Bucket: config.Default().Collective.Bucket,
	})
	if err != nil {
		obj.Close()
		return nil, err
	}
	return out, nil
}

// Step trains on sequences of which the last tokens, so many as answer says, have a
// loss; the first half of the sequences, rounded up, is to be forgotten.
func (s *Sized) Step(ctx context.Context, seqs []model.Sequence, answer int) error {
	s.of.views = nil
	for _, seq := range seqs {
		n := min(answer, len(seq.IDs))
		s.of.views = append(s.of.views, View{Seq: seq, First: len(seq.IDs) - n, Next: make([]int32, n)})
	}
	for s.trainer.step = 0; s.trainer.step < s.trainer.Steps; {
		if _, err := s.trainer.Step(ctx); err != nil {
			return err
		}
	}
	return s.trainer.be.Sync()
}

// Close frees all but the student.
func (s *Sized) Close() {
	s.trainer.Close()
	s.of.Close()
}

// sizedObjective draws the views in place of samples.
type sizedObjective struct {
	drawn
	views []View
}

func (o *sizedObjective) Draw(int, Shard) [][]Sample { return [][]Sample{make([]Sample, len(o.views))} }

func (o *sizedObjective) Prepare(context.Context, int, []Sample) (Batch, error) {
	b := o.batch()
	for i, v := range o.views {
		s := Sample{Term: forgetTerm}
		if 2*i > len(o.views)-1 {
			s.Term = retainTerm
		}
		b.list(s, v, 1)
	}
	return b, nil
}
