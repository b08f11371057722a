package eval

import (
	"strings"
	"testing"

	"vgid/eval/dataset"
)

func TestProtocolsByName(t *testing.T) {
	for _, name := range []string{"mllmu", "short"} {
		p, err := NewProtocol(name, LLaVAChat, 7)
		if err != nil || p.Seed != 7 {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
		if err := p.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewProtocol("long", LLaVAChat, 7); err == nil || err.Error() != "eval.prompts: no wording \"long\"; take mllmu or short" {
		t.Errorf("%v", err)
	}
}

func TestModalitiesByKey(t *testing.T) {
	for _, key := range ModalityKeys {
		if m, err := ParseModality(key); err != nil || ModalityKey(m) != key {
			t.Errorf("%s: %v, %v", key, m, err)
		}
	}
	if _, err := ParseModality("sound"); err == nil || !strings.Contains(err.Error(), "take image_text or text") {
		t.Errorf("%v", err)
	}
}

func TestProtocolsThatCannotWork(t *testing.T) {
	for want, edit := range map[string]func(*Protocol){
		"eval.max_new: -1":               func(p *Protocol) { p.MaxNew = -1 },
		"eval.shots_classification: -1":  func(p *Protocol) { p.ShotsClassification = -1 },
		"eval.shots_cloze: -2":           func(p *Protocol) { p.ShotsCloze = -2 },
		"names neither {option} nor":     func(p *Protocol) { p.Choice = "yes" },
		"eval.modalities: \"smell\"":     func(p *Protocol) { p.Modalities = []dataset.Modality{"smell"} },
		"2 times <image>":                func(p *Protocol) { p.Cloze.Image += "<image>" },
		"shot without an image: 1 times": func(p *Protocol) { p.Generation.TextShot += "<image>" },
		"{question} is missing":          func(p *Protocol) { p.Classification.ImageShot = "<image>" },
	} {
		p := Short(LLaVAChat, 1)
		edit(&p)
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
