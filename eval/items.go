package eval

import (
	"fmt"
	"slices"
	"strings"

	"vgid/eval/dataset"
	"vgid/eval/prompts"
)

// Item is one question as put to the model.
type Item struct {
	// What must hold: Index is the item's place in the list that every rank builds, and its ID
	// names it there; Images are as many as Prompt has marks.
	Index    int    // position in the order of all items, which answers are merged by
	ID       string // set/person/task/modality/number, stable over runs
	Set      string
	Person   string // profile ID
	Subject  string // how an instruction names the person: dataset.ImageSubject or the name
	Task     dataset.Task
	Modality dataset.Modality
	Prompt   string           // the whole model input with an ImageMark for each of Images
	Images   []*dataset.Image // in the order of their marks
	Own      int              // which of Images is the asked person's; -1 without an image
	Question string           // the question alone
	Asked    string           // the same as Prompt has it: a cloze's blank is written as the protocol does
	// Reference is the ground truth; for classification the correct option's text.
	Reference string
	Options   []dataset.Option // classification only
	Correct   string           // classification only: the correct letter
	Choices   []string         // classification only: continuation of the prompt for each option
}

// BuildItems makes the items of all sets in one order: set, task
// (generation, classification, cloze), modality, person, question. Shots are
// drawn by (seed, set, task) and the image of a person with several by (seed,
// set, task, person), so neither depends on the order of anything.
func BuildItems(sets []Set, p Protocol) ([]Item, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	var items []Item
	for i, s := range sets {
		if err := checkSet(sets[:i], s); err != nil {
			return nil, err
		}
		for _, t := range Tasks {
			shown, err := p.pickShots(s, t)
			if err != nil {
				return nil, err
			}
			for _, m := range []dataset.Modality{dataset.ImageText, dataset.Text} {
				if !p.asks(m) {
					continue
				}
				b := builder{p: &p, set: s.Name, task: t, modality: m}
				if items, err = b.build(items, s.Profiles, shown); err != nil {
					return nil, err
				}
			}
		}
	}
	return items, nil
}

// Tasks lists the tasks in the order of the items.
var Tasks = []dataset.Task{dataset.Generation, dataset.Classification, dataset.Cloze}

// checkSet refuses a set that would be counted twice or has nobody in it. earlier are the
// sets before it.
func checkSet(earlier []Set, s Set) error {
	for _, e := range earlier {
		if e.Name == s.Name {
			return fmt.Errorf("evaluation set %s is given twice; give each set once", s.Name)
		}
	}
	if len(s.Profiles) == 0 {
		return fmt.Errorf("evaluation set %s is empty: it holds no profile; check the split or leave the set out of eval.sets", s.Name)
	}
	seen := make(map[string]bool, len(s.Profiles))
	for i := range s.Profiles {
		id := s.Profiles[i].ID
		if seen[id] {
			return fmt.Errorf("evaluation set %s: profile %s appears twice; remove the second row", s.Name, id)
		}
		seen[id] = true
	}
	return nil
}

// builder writes the prompts of one set, task and modality. shots and images are
// the same in front of every question, and are made first.
type builder struct {
	p        *Protocol
	set      string
	task     dataset.Task
	modality dataset.Modality
	shots    strings.Builder
	images   []*dataset.Image
}

// build appends the questions about everybody but the people who are shown: their
// questions stand in the prompt with their answers.
func (b *builder) build(items []Item, people []dataset.Profile, shown []*dataset.Profile) ([]Item, error) {
	for _, shot := range shown {
		if err := b.addShot(shot); err != nil {
			return nil, err
		}
	}
	for i := range people {
		person := &people[i]
		if slices.ContainsFunc(shown, func(q *dataset.Profile) bool { return q.ID == person.ID }) {
			continue
		}
		var err error
		if items, err = b.ask(items, person); err != nil {
			return nil, err
		}
	}
	return items, nil
}

// addShot puts a person's questions of the task and modality in front, with their answers:
// of classification with an image that is one image for each question, as the script has it.
func (b *builder) addShot(person *dataset.Profile) error {
	w := b.p.wording(b.task)
	shot := w.TextShot
	if b.modality == dataset.ImageText {
		shot = w.ImageShot
	}
	img, err := b.image(person)
	if err != nil {
		return err
	}
	for i := range person.Eval {
		q := &person.Eval[i]
		if q.Task != b.task || q.Modality != b.modality {
			continue
		}
		text, err := b.fill(shot, person, q, "")
		if err != nil {
			return err
		}
		b.shots.WriteString(text)
		if img != nil {
			b.images = append(b.images, img)
		}
	}
	return nil
}

// ask appends the items of one person.
func (b *builder) ask(items []Item, person *dataset.Profile) ([]Item, error) {
	w := b.p.wording(b.task)
	query := w.Text
	if b.modality == dataset.ImageText {
		query = w.Image
	}
	img, err := b.image(person)
	if err != nil {
		return nil, err
	}
	images, own := b.images, -1
	if img != nil {
		// A chat template may put its image in front of the shots: marks and images have to be in
		// the same order.
		if strings.Index(query, prompts.ImageMark) < strings.Index(query, "{shots}") {
			images, own = append([]*dataset.Image{img}, b.images...), 0
		} else {
			images, own = append(slices.Clone(b.images), img), len(b.images)
		}
	}
	number := 0
	for i := range person.Eval {
		q := &person.Eval[i]
		if q.Task != b.task || q.Modality != b.modality {
			continue
		}
		prompt, err := b.fill(query, person, q, b.shots.String())
		if err != nil {
			return nil, err
		}
		it := Item{
			Index: len(items), Set: b.set, Person: person.ID, Subject: dataset.ImageSubject,
			ID:   fmt.Sprintf("%s/%s/%s/%s/%d", b.set, person.ID, b.task, ModalityKey(b.modality), number),
			Task: b.task, Modality: b.modality, Prompt: prompt, Images: images, Own: own,
			Question: q.Text, Asked: b.asked(q), Reference: q.Answer, Options: q.Options, Correct: q.Correct,
		}
		if img == nil && person.Name != "" {
			it.Subject = person.Name
		}
		if b.task == dataset.Classification {
			if it.Choices, err = b.choices(person, q); err != nil {
				return nil, err
			}
		}
		items = append(items, it)
		number++
	}
	return items, nil
}

// choices are the continuations whose likelihoods are compared. A question whose right
// answer is not among its options could never be answered right, and is refused.
func (b *builder) choices(person *dataset.Profile, q *dataset.Question) ([]string, error) {
	var choices []string
	known := false
	for _, o := range q.Options {
		choices = append(choices, prompts.Fill(b.p.Choice, "{option}", o.Text, "{letter}", o.Letter))
		known = known || o.Letter == q.Correct
	}
	if !known {
		return nil, fmt.Errorf("set %s, profile %s: classification question %q: correct answer %q is none of its %d options; repair the row", b.set, person.ID, q.Text, q.Correct, len(q.Options))
	}
	return choices, nil
}

// image is the person's image for this task: the only one, or one drawn.
func (b *builder) image(person *dataset.Profile) (*dataset.Image, error) {
	if b.modality != dataset.ImageText {
		return nil, nil
	}
	if len(person.Images) == 0 {
		return nil, fmt.Errorf("set %s, profile %s has no image for its image questions; repair the row or leave image_text out of eval.modalities", b.set, person.ID)
	}
	at := uint64(0)
	if n := uint64(len(person.Images)); n > 1 {
		at = b.p.draw("image", b.set, string(b.task), person.ID) % n
	}
	return &person.Images[at], nil
}

// asked is a question's text as it is put.
func (b *builder) asked(q *dataset.Question) string {
	if b.task == dataset.Cloze && b.p.Blank != "" {
		return strings.ReplaceAll(q.Text, "__", b.p.Blank)
	}
	return q.Text
}

// fill writes a question into a template in one pass, so that nothing in the
// question's own text is taken for a placeholder.
func (b *builder) fill(template string, person *dataset.Profile, q *dataset.Question, shots string) (string, error) {
	options := make([]string, len(q.Options))
	for i, o := range q.Options {
		options[i] = o.Letter + ": " + o.Text
	}
	question, listed := b.asked(q), strings.Join(options, b.p.OptionSeparator)
	if strings.Contains(question+"\x00"+listed+"\x00"+q.Answer, prompts.ImageMark) {
		return "", fmt.Errorf("set %s, profile %s: question %q, its options or its answer hold %s, which stands for an image; take it out of the data", b.set, person.ID, q.Text, prompts.ImageMark)
	}
	return prompts.Fill(template, "{shots}", shots, "{question}", question, "{options}", listed,
		"{letter}", q.Correct, "{answer}", q.Answer), nil
}
