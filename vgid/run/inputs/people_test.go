package inputs

import (
	"strings"
	"testing"

	"vgid/eval/dataset"
	"vgid/vgid/config"
)

// A question that would be forgotten and retained is refused with its person; the
// same person, picture or question alone is not.
func TestDisjoint(t *testing.T) {
	person := func(id, picture, question, answer string) dataset.Profile {
		return dataset.Profile{
			ID: id, Images: []dataset.Image{{Bytes: []byte(picture)}, {Bytes: []byte("of " + id + " alone, " + picture)}},
			Train: []dataset.QA{{Question: "What is this?", Answer: picture + question + answer}, {Question: question, Answer: answer}},
		}
	}
	ada := person("1", "face", "Where was she born?", "Riga")
	for _, tc := range []struct {
		name   string
		retain dataset.Profile
		both   bool
	}{
		{"all of it", ada, true},
		{"another person", person("2", "face", "Where was she born?", "Riga"), false},
		{"another picture", person("1", "profile", "Where was she born?", "Riga"), false},
		{"another question", person("1", "face", "Where does she live?", "Riga"), false},
		{"another answer", person("1", "face", "Where was she born?", "Oslo"), false},
	} {
		p := People{Forget: []dataset.Profile{person("3", "x", "y", "z"), ada}, Retain: []dataset.Profile{tc.retain}, RetainSplit: "retain_95"}
		err := p.disjoint("forget_5")
		switch {
		case !tc.both && err != nil:
			t.Errorf("%s: %v", tc.name, err)
		case tc.both && (err == nil || !strings.Contains(err.Error(), `person 1, question "What is this?": it is in forget_5 and in retain_95 with the same image`)):
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

// The retain split follows from the forget split where it has a percentage.
func TestRetainSplit(t *testing.T) {
	for _, tc := range []struct{ retain, forget, want string }{
		{"", "forget_5", "retain_95"}, {"", "forget_20", "retain_80"}, {"mine", "forget_5", "mine"}, {"mine", "some", "mine"},
		{"", "some", ""}, {"", "forget_0", ""}, {"", "forget_100", ""}, {"", "forget_-3", ""}, {"", "forget_", ""},
	} {
		got, err := retainSplit(config.Data{Retain: tc.retain, Forget: tc.forget})
		if got != tc.want || (err == nil) != (tc.want != "") {
			t.Errorf("%q beside %q: %q, %v, want %q", tc.retain, tc.forget, got, err, tc.want)
		}
		if err != nil && !strings.Contains(err.Error(), "set data.retain") {
			t.Errorf("%q: %v", tc.forget, err)
		}
	}
}
