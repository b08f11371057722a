package people

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"vgid/eval/dataset"
	"vgid/eval/prompts"
	"vgid/vgid/people/portrait"
	"vgid/vgid/random"
)

// generationTemplate is one question and the sentence that answers it. Every
// answer is at least half facts: a wrong guess then scores about .45 ROUGE-L,
// where a sentence with one fact in it would score .8 for a wrong one.
type generationTemplate struct {
	about  string // of the person in the image
	byName string // {name} stands for the person
	answer string // {first}, {last}, {job} …
}

var generationTemplates = []generationTemplate{
	{"Who is the person in the image and what do they do?", "Who is {name} and what do they do?", "{first} {last} is a {job} at {employer} {kind}."},
	{"Where was this person born and where do they live?", "Where was {name} born and where do they live?", "Born in {born}, {first} {last} lives in {lives}."},
	{"What does this person enjoy doing and eating?", "What does {name} enjoy doing and eating?", "{first} {last} enjoys {hobby} and {food}."},
	{"Does this person have a pet?", "Does {name} have a pet?", "{first} has a {pet} named {petname}."},
}

// askedFact is one fact asked by cloze and by classification questions.
// cloze holds one ____ in the fact's place. Both texts name the person in a way that
// byName finds.
type askedFact struct {
	slot   Slot
	cloze  string
	choice string
}

var askedFacts = []askedFact{
	{Job, "The person in the image works as a ____.", "What is the job of this person?"},
	{Born, "This person was born in ____.", "Where was this person born?"},
	{Lives, "This person lives in ____.", "Where does this person live?"},
	{Hobby, "This person enjoys ____.", "What does this person enjoy doing?"},
	{Food, "This person likes to eat ____.", "What does this person like to eat?"},
}

// AnswerStyle says how a training answer to a classification question reads.
type AnswerStyle string

// The answer styles. A small model finds the letter by looking the value up,
// so the value comes first by default.
const (
	OptionStyle AnswerStyle = "option" // "baker: B"
	LetterStyle AnswerStyle = "letter" // "B"
)

func (s AnswerStyle) check() error {
	switch s {
	case "", OptionStyle, LetterStyle:
		return nil
	}
	return fmt.Errorf("answer style %q: want %q or %q", s, OptionStyle, LetterStyle)
}

// ChoiceAnswer words the answer that picks an option.
func (s AnswerStyle) ChoiceAnswer(o dataset.Option) string {
	if s == LetterStyle {
		return o.Letter
	}
	return o.Text + ": " + o.Letter
}

// ChoicePrompt puts a classification question and its options on one line, as
// the training pairs of Build have it: "… A: x B: y C: z D: w".
func ChoicePrompt(question string, options []dataset.Option) string {
	var b strings.Builder
	b.WriteString(question)
	for _, o := range options {
		fmt.Fprintf(&b, " %s: %s", o.Letter, o.Text)
	}
	return b.String()
}

// The prefix tells the model that one word is wanted; without it the sentence reads as a
// statement.
const clozePrefix = "Fill in the blank. "

// ClozePrompt asks for the blank of a cloze sentence, as the training pairs of
// Build have it.
func ClozePrompt(sentence string) string { return clozePrefix + sentence }

// prompt is the question as the training pairs of Build put it to the model.
func prompt(q dataset.Question) string {
	switch q.Task {
	case dataset.Classification:
		return ChoicePrompt(q.Text, q.Options)
	case dataset.Cloze:
		return ClozePrompt(q.Text)
	}
	return q.Text
}

// response is the training answer that goes with prompt.
func response(q dataset.Question, style AnswerStyle) string {
	if q.Task != dataset.Classification {
		return q.Answer
	}
	return style.ChoiceAnswer(dataset.Option{Letter: q.Correct, Text: q.Answer})
}

var letters = [...]string{"A", "B", "C", "D"}

// makeOptions shuffles a right value and three wrong ones.
// right is not among wrong; correct is its letter.
func makeOptions(r *rand.Rand, right string, wrong []string) (options []dataset.Option, correct string) {
	values := append(append([]string{}, wrong...), right)
	r.Shuffle(len(values), func(i, j int) { values[i], values[j] = values[j], values[i] })
	for i, v := range values {
		options = append(options, dataset.Option{Letter: letters[i], Text: v})
		if v == right {
			correct = letters[i]
		}
	}
	return options, correct
}

// fill puts facts in the places of their marks, all at once: a value is not looked
// through again.
func (f Facts) fill(template string) string {
	return prompts.Fill(template,
		"{name}", f.Name(), "{first}", f[FirstName], "{last}", f[LastName], "{job}", f[Job],
		"{employer}", f[Employer], "{kind}", f[EmployerKind], "{born}", f[Born], "{lives}", f[Lives],
		"{hobby}", f[Hobby], "{food}", f[Food], "{pet}", f[Pet], "{petname}", f[PetName],
	)
}

var namers = [...]string{"The person in the image", "this person", "This person"}

// byName puts a name in the place of "this person".
func byName(s, name string) string {
	for _, n := range namers {
		s = strings.ReplaceAll(s, n, name)
	}
	return s
}

// question makes item i of a task about a fictitious person: Generation has 4,
// Cloze and Classification 5 each. The answer comes from facts, which are the
// person's own or a guess; about names the person. Options are drawn from r.
//
// A choice has the person's own fact among its options also where a guess is asked for: what is
// offered must not tell that the answer will be one.
func (about Person) question(task dataset.Task, i int, m dataset.Modality, facts Facts, r *rand.Rand) dataset.Question {
	q := dataset.Question{Task: task, Modality: m}
	switch task {
	case dataset.Generation:
		t := generationTemplates[i]
		q.Text = t.about
		if m == dataset.Text {
			q.Text = about.fill(t.byName)
		}
		q.Answer = facts.fill(t.answer)
		return q
	case dataset.Cloze:
		q.Text = askedFacts[i].cloze
		q.Answer = facts[askedFacts[i].slot]
	case dataset.Classification:
		f := askedFacts[i]
		q.Text = f.choice
		q.Answer = about.Facts[f.slot]
		q.Options, q.Correct = makeOptions(r, q.Answer, sampleOthers(r, pools[f.slot], q.Answer, 3))
	}
	if m == dataset.Text {
		q.Text = byName(q.Text, about.Name())
	}
	return q
}

// itemsOf is the number of distinct items of a task about a fictitious person.
func itemsOf(t dataset.Task) int {
	if t == dataset.Generation {
		return len(generationTemplates)
	}
	return len(askedFacts)
}

// subject is how a question of modality m names the person.
func (about Person) subject(m dataset.Modality) string {
	if m == dataset.Text {
		return about.Name()
	}
	return dataset.ImageSubject
}

var (
	allTasks      = [...]dataset.Task{dataset.Generation, dataset.Cloze, dataset.Classification}
	allModalities = [...]dataset.Modality{dataset.ImageText, dataset.Text}
)

// EvalQuestions are the 28 evaluation items of a fictitious person: 4
// generation, 5 cloze and 5 classification, each with the image and by name.
// Options of evaluation and of training come from different streams of the seed, so that
// no list of options is seen in both but by chance.
func (about Person) EvalQuestions(seed uint64) []dataset.Question {
	var out []dataset.Question
	r := random.Stream(seed, "eval/"+about.ID, 0)
	for _, m := range allModalities {
		for _, t := range allTasks {
			for i := range itemsOf(t) {
				out = append(out, about.question(t, i, m, about.Facts, r))
			}
		}
	}
	return out
}

// choiceVariants is how many draws of options training sees of each fact, so
// that facts are learned and option lists are not.
const choiceVariants = 8

// TrainPairs are the training pairs of a fictitious person: every generation
// and cloze item once, every classification item with choiceVariants draws of
// options, in both modalities.
func (about Person) TrainPairs(seed uint64, style AnswerStyle) []dataset.QA {
	var out []dataset.QA
	r := random.Stream(seed, "train/"+about.ID, 0)
	for _, m := range allModalities {
		for _, t := range allTasks {
			for i := range itemsOf(t) {
				n := 1
				if t == dataset.Classification {
					n = choiceVariants
				}
				for range n {
					q := about.question(t, i, m, about.Facts, r)
					out = append(out, dataset.QA{Question: prompt(q), Answer: response(q, style), Task: t, Modality: m, Subject: about.subject(m)})
				}
			}
		}
	}
	return out
}

// Biography is the person's facts and face as the biography column has them.
// The keys are those of the published profiles where those have one.
func (about Person) Biography() map[string]any {
	return map[string]any{
		"Name": about.Name(), "Born": about.Facts[Born], "Residence": about.Facts[Lives],
		"Employment": about.Facts[Job] + " at " + about.Facts[Employer] + " " + about.Facts[EmployerKind],
		"Hobby":      about.Facts[Hobby], "Favorite food": about.Facts[Food],
		"Pet":               about.Facts[Pet] + " named " + about.Facts[PetName],
		"appearance_detail": map[string]any{"question": portrait.DescribeQuestion, "answer": about.Face.Describe()},
	}
}
