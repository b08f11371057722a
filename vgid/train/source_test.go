package train

import (
	"testing"

	"vgid/eval/dataset"
	"vgid/vgid/config"
)

// Noise that is drawn once is drawn once for every picture, whichever place of
// the batch it comes in; else it goes by the place.
func TestFixedNoiseBelongsToThePicture(t *testing.T) {
	var profiles []dataset.Profile
	for _, id := range []string{"1", "2", "3"} {
		profiles = append(profiles, dataset.Profile{ID: id, Images: make([]dataset.Image, 2), Train: []dataset.QA{{Question: "Who?", Answer: "Ada", Modality: dataset.ImageText}}})
	}
	src, err := NewPeople(profiles, config.TaskMix{Generation: 1}, 0, 5, "forget", "")
	if err != nil {
		t.Fatal(err)
	}
	keys, places, all := map[*dataset.Image]uint32{}, map[*dataset.Image]map[uint32]bool{}, map[uint32]bool{}
	for step := range 50 {
		for _, s := range (Shard{WorldSize: 1}).draw(src, forgetTerm, step, 4, 0) {
			key, file := s.noiseKey(config.Noise{Fixed: true}), s.Picture.File
			if had, ok := keys[file]; ok && had != key {
				t.Fatalf("step %d: another noise for the same picture", step)
			}
			if places[file] == nil {
				places[file] = map[uint32]bool{}
			}
			keys[file], places[file][s.Key], all[key] = key, true, true
			if k := s.noiseKey(config.Noise{}); k != s.Key {
				t.Fatalf("noise of every step is keyed by %d, not by the place %d", k, s.Key)
			}
		}
	}
	if len(keys) != 6 || len(all) != 6 {
		t.Errorf("%d pictures have %d noises, want 6 of each", len(keys), len(all))
	}
	for _, p := range places {
		if len(p) != 4 {
			t.Errorf("a picture came in the places %v only: nothing was shown", p)
		}
	}
}
