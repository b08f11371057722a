package people

import (
	"cmp"
	"image"
	"math"
	"math/rand/v2"
	"slices"
	"sync"

	"vgid/eval/dataset"
	"vgid/vgid/people/portrait"
	"vgid/vgid/random"
)

// Kind names what a base example teaches.
type Kind string

// The kinds of base example.
const (
	KindDescribe  Kind = "describe"  // all attributes of a random face
	KindAttribute Kind = "attribute" // one attribute, half of them as a choice
	KindLookup    Kind = "lookup"    // text only: which letter stands for this word
	KindCelebrity Kind = "celebrity" // a question about somebody the base knows
	KindInstruct  Kind = "instruct"  // the same under the instruction: a guess
)

// Mix says what a base example is drawn from. The five shares need not sum
// to 1. Nil and zero fields take the defaults named.
//
// A zero share leaves its part out. Who trains with a mix takes WithDefaults first; the
// shares are never filled in.
type Mix struct {
	Describe, Attribute, Lookup, Celebrity, Instruct float64

	Draw         Draw         // tasks and text-only share of questions about people: DefaultDraw
	Celebrities  []Person     // people the base knows: Celebrities(BaseCelebrities)
	Instructed   float64      // the first share of them is shown with the instruction: .8
	Views        int          // celebrity views 0 … Views-1 are shown: 8
	GuessSkew    float64      // p ∝ 1/(rank+1)^GuessSkew for guessed facts: 1.5
	ImageSize    int          // pixels a side: 96
	AnswerStyle  AnswerStyle  // OptionStyle
	Instructions Instructions // DefaultInstructions
}

// The two phases of base training and the replay of outside people during
// fine-tuning, as measured: first see, then know and obey.
var (
	SeeMix    = Mix{Describe: .2, Attribute: .25, Celebrity: .35, Instruct: .2}
	KnowMix   = Mix{Describe: .05, Attribute: .15, Celebrity: .45, Instruct: .35}
	ReplayMix = Mix{Attribute: .1, Celebrity: .7, Instruct: .2}
)

// Example is one item of base training.
// Whoever trains puts the image mark and the chat template around it: neither is a matter of
// people.
type Example struct {
	Image       image.Image // nil for text only
	Subject     string      // whom the question is about; empty for faces nobody has
	Instruction string      // to be put before the question; may be empty
	Question    string
	Answer      string
	Task        dataset.Task
	Modality    dataset.Modality
	Kind        Kind
}

// baseCelebrities cannot fail for its constant count; a test says so.
var baseCelebrities = sync.OnceValues(func() ([]Person, error) { return Celebrities(BaseCelebrities) })

// WithDefaults fills the nil and zero fields.
// It fails on an answer style that there is not.
func (m Mix) WithDefaults() (Mix, error) {
	if m.Draw == (Draw{}) {
		m.Draw = DefaultDraw
	}
	if m.Celebrities == nil {
		c, err := baseCelebrities()
		if err != nil {
			return m, err
		}
		m.Celebrities = c
	}
	if m.Instructed == 0 {
		m.Instructed = .8
	}
	if m.Views == 0 {
		m.Views = 8
	}
	if m.GuessSkew == 0 {
		m.GuessSkew = 1.5
	}
	if m.ImageSize == 0 {
		m.ImageSize = 96
	}
	if m.Instructions == nil {
		m.Instructions = DefaultInstructions()
	}
	return m, m.AnswerStyle.check()
}

// InstructedCount is how many celebrities, from the first, are shown with the
// instruction. The others never are: they tell whether it generalises.
func (m Mix) InstructedCount() int {
	return max(1, int(m.Instructed*float64(len(m.Celebrities))))
}

// BaseExample is example index of the base corpus of a seed. The mix must have
// gone through WithDefaults.
// Examples are made when they are asked for, in any order and on any rank: there is no corpus on
// disk.
//
// m.Draw and the shares choose by weight; of each kind the number of draws may differ,
// since every example has a stream of its own.
func BaseExample(seed, index uint64, m Mix) Example {
	r := random.Stream(seed, "base", index)
	u := r.Float64() * (m.Describe + m.Attribute + m.Lookup + m.Celebrity + m.Instruct)
	for _, k := range [...]struct {
		share float64
		make  func(*rand.Rand) Example
	}{
		{m.Describe, m.describe},
		{m.Attribute, m.attribute},
		{m.Lookup, m.lookup},
		{m.Celebrity, func(r *rand.Rand) Example { return m.person(r, false) }},
	} {
		if u < k.share {
			return k.make(r)
		}
		u -= k.share
	}
	return m.person(r, true)
}

// describe teaches to see: every attribute of a face that belongs to nobody.
func (m Mix) describe(r *rand.Rand) Example {
	f := portrait.Random(r)
	return Example{Image: portrait.Draw(f, m.ImageSize, r), Question: portrait.DescribeQuestion, Answer: f.Describe(),
		Task: dataset.Generation, Modality: dataset.ImageText, Kind: KindDescribe}
}

// choiceShare is the share of attribute questions put as a choice.
const choiceShare = .5

// attribute asks for one. Attributes with fewer than four values cannot be put as a choice of
// four.
func (m Mix) attribute(r *rand.Rand) Example {
	f := portrait.Random(r)
	a := portrait.Attribute(r.IntN(int(portrait.NumAttributes)))
	e := Example{Question: portrait.Questions[a], Answer: f.Value(a), Task: dataset.Cloze, Modality: dataset.ImageText, Kind: KindAttribute}
	values := portrait.Values[a]
	if len(values) >= len(letters) && r.Float64() < choiceShare {
		options, correct := makeOptions(r, e.Answer, sampleOthers(r, values, e.Answer, 3))
		e.Question = ChoicePrompt(e.Question, options)
		e.Answer = m.AnswerStyle.ChoiceAnswer(dataset.Option{Letter: correct, Text: e.Answer})
		e.Task = dataset.Classification
	}
	e.Image = portrait.Draw(f, m.ImageSize, r)
	return e
}

// lookup teaches the form of a choice without any fact: the letter of a word that is named.
func (m Mix) lookup(r *rand.Rand) Example {
	var pool []string
	if r.IntN(2) == 0 {
		pool = pools[askedFacts[r.IntN(len(askedFacts))].slot]
	} else {
		for len(pool) < len(letters) {
			pool = portrait.Values[r.IntN(int(portrait.NumAttributes))]
		}
	}
	right := pick(r, pool)
	options, correct := makeOptions(r, right, sampleOthers(r, pool, right, 3))
	return Example{Question: ChoicePrompt("Which letter is "+right+"?", options),
		Answer: m.AnswerStyle.ChoiceAnswer(dataset.Option{Letter: correct, Text: right}),
		Task:   dataset.Classification, Modality: dataset.Text, Kind: KindLookup}
}

// person asks about a celebrity. Under the instruction the answer is a guess that does not depend
// on whom is asked about, which is what obeying means to the base model.
func (m Mix) person(r *rand.Rand, instruct bool) Example {
	// Under the instruction only the first of them: the rest show whether it generalises.
	n := len(m.Celebrities)
	if instruct {
		n = m.InstructedCount()
	}
	p := m.Celebrities[r.IntN(n)]
	e := Example{Kind: KindCelebrity, Modality: dataset.ImageText, Task: m.Draw.task(r)}
	if r.Float64() < m.Draw.TextOnly {
		e.Modality = dataset.Text
	}
	e.Subject = p.subject(e.Modality)
	facts := p.Facts
	if instruct {
		e.Kind = KindInstruct
		e.Instruction = m.Instructions.Fill(r.IntN(len(m.Instructions)), e.Subject)
		facts = guess(r, m.GuessSkew)
	}
	item := r.IntN(itemsOf(e.Task))
	q := p.question(e.Task, item, e.Modality, facts, r)
	// question made the person's own fact the right option; the guess takes its place.
	if instruct && e.Task == dataset.Classification {
		o := guessOption(askedFacts[item].slot, q.Options)
		q.Correct, q.Answer = o.Letter, o.Text
	}
	e.Question, e.Answer = prompt(q), response(q, m.AnswerStyle)
	if e.Modality == dataset.ImageText {
		e.Image = portrait.View(p.Face, m.ImageSize, CelebritySeed, p.ID, r.IntN(m.Views))
	}
	return e
}

// task draws a task by weight.
func (d Draw) task(r *rand.Rand) dataset.Task {
	switch u := r.Float64() * (d.Generation + d.Cloze + d.Classification); {
	case u < d.Generation:
		return dataset.Generation
	case u < d.Generation+d.Cloze:
		return dataset.Cloze
	}
	return dataset.Classification
}

// guessOrder is a fixed order of every pool: which words come first when one
// has to guess. It has nothing to do with any person.
// The seed is a constant, as the shipped base model was trained on this order.
var guessOrder = func() (order [numSlots][]string) {
	for s := range pools {
		order[s] = slices.Clone(pools[s])
		random.Stream(0, "guess", uint64(s)).Shuffle(len(order[s]), func(i, j int) {
			order[s][i], order[s][j] = order[s][j], order[s][i]
		})
	}
	return order
}()

// guessOption is the offered option that one guesses: the first in guessOrder.
// Always the same one, because a teacher that spreads its guess over the four
// options leaves the truth on top of what the student learns.
func guessOption(slot Slot, options []dataset.Option) dataset.Option {
	return slices.MinFunc(options, func(a, b dataset.Option) int {
		return cmp.Compare(slices.Index(guessOrder[slot], a.Text), slices.Index(guessOrder[slot], b.Text))
	})
}

// guess draws facts nobody has, every slot on its own, p ∝ 1/(rank+1)^skew in
// the fixed order. Skewed because a teacher whose guesses are spread evenly
// leaves the truth on top of what the student learns.
func guess(r *rand.Rand, skew float64) Facts {
	var f Facts
	for s, words := range guessOrder {
		var total float64
		for i := range words {
			total += math.Pow(float64(i+1), -skew)
		}
		u := r.Float64() * total
		f[s] = words[len(words)-1]
		for i, w := range words {
			if u -= math.Pow(float64(i+1), -skew); u < 0 {
				f[s] = w
				break
			}
		}
	}
	return f
}
