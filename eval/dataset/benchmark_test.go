package dataset

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// shelf is a folder of sets in memory, one file each, that counts how often each
// is read and which people are decoded.
type shelf struct {
	dir     string
	sets    map[string][]Profile
	bad     map[string]bool // sets and IDs that cannot be decoded
	reads   map[string]int
	decoded map[string]int // by set and ID
}

func (s *shelf) Dir() string { return s.dir }

func (s *shelf) Sets() []string {
	var names []string
	for n := range s.sets {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

func (s *shelf) Roles() Roles {
	return Roles{Training: Source{"pairs", "pairs column"}, Evaluation: Source{"questions", "questions column"}, Unseen: "other views", Outside: "strangers"}
}

func (s *shelf) path(set string) string { return filepath.Join(s.dir, set) }

func (s *shelf) Read(set string, keep func(id string) bool, note func(id, path string)) ([]Profile, error) {
	note("", s.path(set))
	s.reads[set]++
	var out []Profile
	for _, p := range s.sets[set] {
		if !keep(p.ID) {
			continue
		}
		if s.bad[set+" "+p.ID] {
			return nil, errors.New("a bad row")
		}
		s.decoded[set+" "+p.ID]++
		note(p.ID, s.path(set)+" of "+p.ID)
		// as a reader does it: every read gives bytes of its own
		p.Images = []Image{{Bytes: []byte("face of " + p.ID)}}
		out = append(out, p)
	}
	return out, nil
}

func newShelf(t interface {
	TempDir() string
	Fatal(...any)
}) *shelf {
	s := &shelf{dir: t.TempDir(), sets: map[string][]Profile{}, bad: map[string]bool{}, reads: map[string]int{}, decoded: map[string]int{}}
	asked, taught := []Question{{Text: "q"}}, []QA{{Question: "q"}}
	for _, id := range []string{"1", "2", "3", "4"} {
		s.sets["questions"] = append(s.sets["questions"], Profile{ID: id, Eval: asked})
		s.sets["other views"] = append(s.sets["other views"], Profile{ID: id, Eval: asked})
		s.sets["pairs"] = append(s.sets["pairs"], Profile{ID: id, Train: taught})
	}
	s.sets["forget"] = []Profile{{ID: "3", Train: taught}}
	s.sets["retain"] = []Profile{{ID: "1", Train: taught}, {ID: "2", Train: taught}}
	s.sets["strangers"] = []Profile{{ID: "9", Eval: asked}}
	for set, people := range s.sets {
		for _, f := range append([]Profile{{}}, people...) {
			name := s.path(set)
			if f.ID != "" {
				name += " of " + f.ID
			}
			if err := os.WriteFile(name, []byte("x"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return s
}

func ids(t *testing.T, people []Profile, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(idsOf(people), " ")
}

func TestEverySetIsReadOnce(t *testing.T) {
	s := newShelf(t)
	b := New(s)
	for range 2 {
		for want, read := range map[string]func() ([]Profile, error){
			"3":   func() ([]Profile, error) { return b.Training("forget", "retain") },
			"1 2": func() ([]Profile, error) { return b.Training("retain", "forget") },
			"9":   b.Outside,
		} {
			people, err := read()
			if got := ids(t, people, err); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		}
		for _, set := range []string{"forget", "retain"} {
			people, err := b.Evaluation(set, "forget", "retain")
			if got, want := ids(t, people, err), strings.Join(idsOf(s.sets[set]), " "); got != want {
				t.Errorf("%s: %q, want %q", set, got, want)
			}
		}
		people, err := b.Unseen("forget")
		if got := ids(t, people, err); got != "3" {
			t.Errorf("other views of %q", got)
		}
	}
	for set, n := range s.reads {
		if n != 1 {
			t.Errorf("%s was read %d times", set, n)
		}
	}
	if n := s.decoded["questions 4"] + s.decoded["other views 1"]; n != 0 {
		t.Error("people were decoded that nobody asked for")
	}
}

// The same face in several sets is one slice of bytes.
func TestPicturesAreKeptOnce(t *testing.T) {
	b := New(newShelf(t))
	one, err := b.Set("forget")
	if err != nil {
		t.Fatal(err)
	}
	two, err := b.Evaluation("forget")
	if err != nil {
		t.Fatal(err)
	}
	x, y := one[0].Images[0].Bytes, two[0].Images[0].Bytes
	if string(x) != "face of 3" || &x[0] != &y[0] {
		t.Errorf("%q and %q are two copies", x, y)
	}
	three, err := b.Set("retain")
	if err != nil || string(three[0].Images[0].Bytes) != "face of 1" {
		t.Errorf("%q, %v", three[0].Images[0].Bytes, err)
	}
}

func TestAFileThatWasWrittenToIsReadAgain(t *testing.T) {
	s := newShelf(t)
	b := New(s)
	for i, touch := range []string{"forget", "forget of 3", "retain"} {
		before := s.reads["forget"]
		if _, err := b.Set("forget"); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			before++ // the first time
		}
		if s.reads["forget"] != before && i == 0 {
			t.Errorf("read %d times", s.reads["forget"])
		}
		later := time.Now().Add(time.Duration(i+1) * time.Hour)
		if err := os.Chtimes(filepath.Join(s.dir, touch), later, later); err != nil {
			t.Fatal(err)
		}
		before = s.reads["forget"]
		if _, err := b.Set("forget"); err != nil {
			t.Fatal(err)
		}
		if again := s.reads["forget"] > before; again != strings.HasPrefix(touch, "forget") {
			t.Errorf("%s was written to: read again: %v", touch, again)
		}
	}
	if err := os.Remove(s.path("forget")); err != nil {
		t.Fatal(err)
	}
	before := s.reads["forget"]
	if _, err := b.Set("forget"); err != nil || s.reads["forget"] == before {
		t.Errorf("a file that is gone was taken for the one that was read: %v", err)
	}
}

// A bad row is the error of who asks for it, now and later.
func TestABadRowIsAnErrorForWhoAsks(t *testing.T) {
	s := newShelf(t)
	s.bad["questions 1"] = true // who is in retain
	b := New(s)
	if _, err := b.Evaluation("forget", "retain"); err != nil {
		t.Errorf("forget: %v", err)
	}
	for range 2 {
		if _, err := b.Evaluation("retain"); err == nil {
			t.Error("retain: no error")
		}
	}
	if _, err := b.Evaluation("forget"); err != nil || s.decoded["questions 3"] == 0 {
		t.Errorf("forget, afterwards: %v", err)
	}
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	s := newShelf(t)
	s.sets["forget"] = append(s.sets["forget"], Profile{ID: "7"})
	b := New(s)
	for want, read := range map[string]func() ([]Profile, error){
		`ID "7" is not in questions`:   func() ([]Profile, error) { return b.Evaluation("forget") },
		`ID "7" is not in other views`: func() ([]Profile, error) { return b.Unseen("forget") },
	} {
		if _, err := read(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	delete(s.sets, "questions")
	want := fmt.Sprintf("set retain (%s): no column questions column, and no questions to take it from; add the file that has it", s.path("retain"))
	if _, err := b.Evaluation("retain"); err == nil || err.Error() != want {
		t.Errorf("%v, want %q", err, want)
	}
}

// Whatever was asked before, an answer and the files that it depends on are the
// same as of a benchmark that has just been opened.
func TestAnswersDoNotDependOnWhatIsKept(t *testing.T) {
	s := newShelf(t)
	sets := []string{"forget", "retain", "questions", "other views", "pairs", "strangers"}
	ask := func(b *Benchmark, how int, set string, next []string) string {
		var told []string
		b = b.Noting(func(set, path string) {
			if line := set + ": " + filepath.Base(path); !slices.Contains(told, line) {
				told = append(told, line)
			}
		})
		var people []Profile
		var err error
		switch how {
		case 0:
			people, err = b.Set(set)
		case 1:
			people, err = b.Training(set, next...)
		case 2:
			people, err = b.Evaluation(set, next...)
		case 3:
			people, err = b.Unseen(set)
		case 4:
			var list []string
			list, err = b.IDs(set)
			return fmt.Sprint(list, err, told)
		}
		return fmt.Sprintf("%+v, %v, %q", people, err, told)
	}
	rapid.Check(t, func(t *rapid.T) {
		b := New(s)
		for range rapid.IntRange(1, 12).Draw(t, "questions") {
			how, set := rapid.IntRange(0, 4).Draw(t, "how"), rapid.SampledFrom(sets).Draw(t, "set")
			next := rapid.SliceOfN(rapid.SampledFrom(sets), 0, 2).Draw(t, "next")
			if got, want := ask(b, how, set, next), ask(New(s), how, set, nil); got != want {
				t.Fatalf("kept:\n%s\nanew:\n%s", got, want)
			}
		}
	})
}
