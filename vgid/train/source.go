package train

import (
	"fmt"
	"hash/crc32"
	"image"
	"math/rand/v2"

	"vgid/eval/dataset"
	"vgid/vgid/config"
	"vgid/vgid/people"
	"vgid/vgid/random"
)

// Sample is one training example before tokenisation.
type Sample struct {
	Key         uint32 // unique within a step; keys its noise and dropout
	Term        int    // the part of the loss it belongs to: index of the objective's Terms
	Picture     Picture
	Subject     string // what {subject} of an instruction stands for
	Instruction string // already part of the example (base training), or ""
	Question    string
	Answer      string
}

// noiseKey keys a sample's noise: by its place in the step or, where noise is
// drawn once, by its picture, which comes in any place.
func (s Sample) noiseKey(n config.Noise) uint32 {
	if n.Fixed {
		return s.Picture.Key
	}
	return s.Key
}

// Picture is the image of a sample: a file of the benchmark, a drawing, or none.
type Picture struct {
	File *dataset.Image
	Draw image.Image
	Key  uint32 // of a file: tells the set's pictures apart
}

// None reports whether there is no image.
func (p Picture) None() bool { return p.File == nil && p.Draw == nil }

// Source yields the endless sequence of a stage's examples. At is a pure
// function of the index, so that any worker can draw any example.
type Source interface {
	At(index uint64) Sample
}

// peopleSource draws questions about profiles: every epoch visits each person once
// in a new order, with a random question and view.
type peopleSource struct {
	profiles []dataset.Profile
	draw     people.Draw
	uniform  bool // draw among all pairs alike instead of by task and modality
	seed     uint64
	purpose  string
	subject  string

	epoch uint64 // whose order is held
	order []int
}

// NewPeople makes a Source over profiles. The purpose separates its random
// stream from those of other sources.
func NewPeople(profiles []dataset.Profile, mix config.TaskMix, textOnly float64, seed uint64, purpose, subject string) (Source, error) {
	if len(profiles) == 0 {
		return nil, fmt.Errorf("the %s set is empty: there is nobody to draw questions about", purpose)
	}
	for _, p := range profiles {
		if len(p.Train) == 0 {
			return nil, fmt.Errorf("the %s set: person %s has no training questions (column metadata)", purpose, p.ID)
		}
	}
	return &peopleSource{
		profiles: profiles, seed: seed, purpose: purpose, subject: subject,
		uniform: textOnly < 0,
		draw:    people.Draw{Generation: mix.Generation, Cloze: mix.Cloze, Classification: mix.Classification, TextOnly: textOnly},
	}, nil
}

func (s *peopleSource) At(index uint64) Sample {
	n := uint64(len(s.profiles))
	if e := index / n; s.order == nil || e != s.epoch {
		s.epoch = e
		s.order = random.Stream(s.seed, s.purpose+" order", e).Perm(len(s.profiles))
	}
	p := &s.profiles[s.order[index%n]]
	r := random.Stream(s.seed, s.purpose, index)
	var qa dataset.QA
	if s.uniform {
		qa = p.Train[r.IntN(len(p.Train))]
	} else {
		qa, _ = s.draw.Pick(p.Train, r)
	}
	return personSample(p, qa, s.subject, r)
}

func personSample(p *dataset.Profile, qa dataset.QA, subject string, r *rand.Rand) Sample {
	out := Sample{Question: qa.Question, Answer: qa.Answer, Subject: subject}
	if qa.Modality == dataset.Text {
		out.Subject = qa.Subject
		if out.Subject == "" {
			out.Subject = p.Name
		}
		return out
	}
	view := r.IntN(len(p.Images))
	out.Picture.File = &p.Images[view]
	out.Picture.Key = crc32.ChecksumIEEE(fmt.Appendf(nil, "%s\x00%d", p.ID, view))
	return out
}

// blend draws a fraction of its examples from a second source.
type blend struct {
	main, other Source
	fraction    float64
	seed        uint64
}

func (b blend) At(index uint64) Sample {
	if random.Stream(b.seed, "blend", index).Float64() < b.fraction {
		return b.other.At(index)
	}
	return b.main.At(index)
}

// Blend replaces a fraction of main's examples by other's.
func Blend(main, other Source, fraction float64, seed uint64) Source {
	if fraction <= 0 {
		return main
	}
	return blend{main, other, fraction, seed}
}

// Shard is one worker's share of a batch: every WorldSize-th sample from Rank.
type Shard struct{ Rank, WorldSize int }

// draw makes this worker's share of the size samples that term contributes to
// the global batch of a step; first is how many samples other terms put before
// them. Which samples a batch has does not depend on the sharding.
func (s Shard) draw(src Source, term, step, size, first int) []Sample {
	var out []Sample
	for i := range size {
		key := first + i
		if key%s.WorldSize != s.Rank {
			continue
		}
		x := src.At(uint64(step)*uint64(size) + uint64(i))
		x.Term, x.Key = term, uint32(key)
		out = append(out, x)
	}
	return out
}

// corpus draws from what the quickstart's base model is trained on: faces
// nobody has, people it knows, and instructions. Also the replay of
// fine-tuning and the outside people of the retain term.
type corpus struct {
	seed uint64
	mix  people.Mix
}

// NewCorpus makes a Source over the base corpus.
func NewCorpus(seed uint64, parts config.Corpus, tasks config.TaskMix, textOnly float64, imageSize int) (Source, error) {
	if parts.Describe+parts.Attribute+parts.Lookup+parts.Celebrity+parts.Instruction <= 0 {
		return nil, fmt.Errorf("train.corpus: every part has weight 0, but train.replay or the base stage draws from it")
	}
	m, err := people.Mix{
		Describe: parts.Describe, Attribute: parts.Attribute, Lookup: parts.Lookup,
		Celebrity: parts.Celebrity, Instruct: parts.Instruction, ImageSize: imageSize,
		Draw: people.Draw{Generation: tasks.Generation, Cloze: tasks.Cloze, Classification: tasks.Classification, TextOnly: max(0, textOnly)},
	}.WithDefaults()
	return corpus{seed, m}, err
}

func (c corpus) At(index uint64) Sample {
	e := people.BaseExample(c.seed, index, c.mix)
	s := Sample{Subject: e.Subject, Instruction: e.Instruction, Question: e.Question, Answer: e.Answer}
	s.Picture.Draw = e.Image
	return s
}
