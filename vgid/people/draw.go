package people

import (
	"math/rand/v2"

	"vgid/eval/dataset"
)

// Draw says how often training picks each task and each modality.
// Weights need not sum to 1.
// It weighs tasks, not pairs: eight draws of options for every fact would else make most of
// training a choice.
type Draw struct {
	Generation, Cloze, Classification float64
	TextOnly                          float64 // probability of a text-only item
}

// DefaultDraw is the quickstart's measured mix.
var DefaultDraw = Draw{Generation: .45, Cloze: .2, Classification: .35, TextOnly: .25}

// Pick draws one training pair: first the modality, then the task, then
// uniformly among the pairs of both. What the list does not hold is left out
// of the draw. It reports false only for an empty list.
func (d Draw) Pick(pairs []dataset.QA, r *rand.Rand) (dataset.QA, bool) {
	// Drawn before anything is looked at, so that every call takes three numbers off
	// the stream whatever the list holds.
	u, v, w := r.Float64(), r.Float64(), r.Uint64()
	if len(pairs) == 0 {
		return dataset.QA{}, false
	}
	modality := dataset.ImageText
	if u < d.TextOnly {
		modality = dataset.Text
	}
	// A profile of given texts may have pairs of one modality alone.
	if !anyPair(pairs, func(p dataset.QA) bool { return p.Modality == modality }) {
		modality = pairs[0].Modality
	}
	count := map[dataset.Task]int{}
	for _, p := range pairs {
		if p.Modality == modality {
			count[p.Task]++
		}
	}
	weights := [...]struct {
		task   dataset.Task
		weight float64
	}{{dataset.Generation, d.Generation}, {dataset.Cloze, d.Cloze}, {dataset.Classification, d.Classification}}
	var total float64
	for _, t := range weights {
		if count[t.task] > 0 {
			total += t.weight
		}
	}
	var task dataset.Task
	left := v * total
	for _, t := range weights {
		if count[t.task] == 0 || t.weight <= 0 {
			continue
		}
		task = t.task
		if left -= t.weight; left < 0 {
			break
		}
	}
	var of []int
	for i, p := range pairs {
		if p.Modality == modality && (task == "" || p.Task == task) {
			of = append(of, i)
		}
	}
	return pairs[of[w%uint64(len(of))]], true
}

func anyPair(pairs []dataset.QA, ok func(dataset.QA) bool) bool {
	for _, p := range pairs {
		if ok(p) {
			return true
		}
	}
	return false
}
