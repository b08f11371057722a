package run

import (
	"bytes"
	"image/png"

	"vgid/eval"
	"vgid/eval/dataset"
	"vgid/eval/metric"
	"vgid/eval/report"
	"vgid/vgid/train"
	"vgid/vgid/train/noise"
)

// samples picks questions to show in full: the first generation questions of
// each set, asked with an image, one a person. shown is what the teacher sees of it;
// nil: nothing else than the student.
// The same questions are shown of all models, so vanilla's answers, which are there in
// every run, say which.
// each is the most of a set. An error is of a picture that cannot be read.
func samples(outcomes map[string]*eval.Outcome, sets []eval.Set, enc *train.Encoder, shown *noise.Noise, each int) ([]report.Sample, error) {
	images := map[string]*dataset.Image{} // the portrait of a person in a set: sets show other views
	for _, s := range sets {
		for i := range s.Profiles {
			images[s.Name+"/"+s.Profiles[i].ID] = &s.Profiles[i].Images[0]
		}
	}
	var out []report.Sample
	taken := map[string]int{}
	seen := map[string]bool{}
	for i, a := range outcomes[eval.Vanilla].Answers {
		key := a.Set + "/" + a.Person
		if a.Task != dataset.Generation || a.Modality != dataset.ImageText || taken[a.Set] == each || seen[key] {
			continue
		}
		seen[key] = true
		taken[a.Set]++
		s := report.Sample{Set: a.Set, Person: a.Person, Question: a.Question, Reference: a.Reference}
		if img := images[key]; img != nil {
			s.Portrait = img.Bytes
			if a.Set == eval.Forget && shown != nil {
				var err error
				if s.Noised, err = noisedPNG(enc, shown, img, uint32(i)); err != nil {
					return nil, err
				}
			}
		}
		for _, name := range []string{eval.Vanilla, eval.Unlearned, eval.Gold} {
			// All models were asked the same items in the same order.
			if o := outcomes[name]; o != nil {
				s.Said = append(s.Said, report.Said{Model: name, Text: o.Answers[i].Response, ROUGEL: o.Answers[i].Metrics[metric.ROUGEL]})
			}
		}
		out = append(out, s)
	}
	return out, nil
}

// noisedPNG is a picture as the teacher sees it, as pixels again. The noise is that of
// step 0, and sample its key: the same at every writing of the report.
// The processor's own step is undone (Denormalize), since noise is added to pixels that
// are normalised already.
func noisedPNG(enc *train.Encoder, n *noise.Noise, img *dataset.Image, sample uint32) ([]byte, error) {
	own, err := enc.Image(train.Picture{File: img})
	if err != nil {
		return nil, err
	}
	rgba, err := enc.Processor().Denormalize(n.Apply(own, 0, sample))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := png.Encode(&b, rgba); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
