package people

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"vgid/eval/dataset"
	"vgid/eval/mllmu"
	"vgid/model/kit/safefile"
	"vgid/vgid/people/portrait"
	"vgid/vgid/random"

	"golang.org/x/sync/errgroup"
)

// BuildConfig says what Build makes. Zero fields take the defaults named.
// What decides the bytes that are written is in the record, the rest is left out of it.
type BuildConfig struct {
	Out            string      `json:"-"`                  // folder to write into, made when absent
	Seed           uint64      `json:"seed"`               // people, faces, views, options, splits
	People         int         `json:"people,omitempty"`   // fictitious people: 60
	ForgetPercents []int       `json:"forget_percents"`    // one forget_N and retain_(100-N) pair each: [10]
	Views          int         `json:"views"`              // training views a person: 8, with Profiles 2
	TestViews      int         `json:"test_views"`         // unseen views a person: 1
	Celebrities    int         `json:"celebrities"`        // people of Retain_Set: 80
	ImageSize      int         `json:"image_size"`         // pixels a side: 96
	AnswerStyle    AnswerStyle `json:"answer_style"`       // OptionStyle
	Profiles       string      `json:"profiles,omitempty"` // JSON lines of ID and metadata, instead of fictitious people
	Splits         string      `json:"splits,omitempty"`   // JSON object of set name to IDs; goes with Profiles
	Workers        int         `json:"-"`                  // portraits drawn at once: GOMAXPROCS; never changes the bytes
}

// BaseCelebrities is how many celebrities the quickstart's base model knows.
const BaseCelebrities = 80

// withDefaults is applied before the configuration is recorded, so that the record says what was
// done and not what was left out.
func (c BuildConfig) withDefaults() BuildConfig {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	if c.Profiles == "" {
		def(&c.People, 60)
		def(&c.Views, 8)
		if c.ForgetPercents == nil {
			c.ForgetPercents = []int{10}
		}
	}
	def(&c.Views, 2)
	def(&c.TestViews, 1)
	def(&c.Celebrities, BaseCelebrities)
	def(&c.ImageSize, 96)
	def(&c.Workers, runtime.GOMAXPROCS(0))
	if c.AnswerStyle == "" {
		c.AnswerStyle = OptionStyle
	}
	return c
}

// check is for callers from code; the command's flags have been checked for their own words
// before.
func (c BuildConfig) check() error {
	switch {
	case c.Out == "":
		return errors.New("data build: no output folder")
	case (c.Profiles == "") != (c.Splits == ""):
		return errors.New("data build: profiles and splits go together; give both or neither")
	case c.Profiles != "" && (c.People != 0 || len(c.ForgetPercents) != 0):
		return errors.New("data build: a number of people and percents to forget make fictitious people; leave them out with given profiles")
	case c.ImageSize < 16 || c.ImageSize > 2048:
		return fmt.Errorf("data build: image size %d, want 16 to 2048 pixels", c.ImageSize)
	case c.Views < 1 || c.TestViews < 1 || c.Celebrities < 1 || c.Workers < 1:
		return fmt.Errorf("data build: views %d, test views %d, celebrities %d, workers %d; each must be at least 1", c.Views, c.TestViews, c.Celebrities, c.Workers)
	case c.Profiles == "" && c.People < 2:
		return fmt.Errorf("data build: %d people; want at least 2, one to forget and one to retain", c.People)
	}
	return c.AnswerStyle.check()
}

// BuildRecord says what Build wrote; BuildFile holds it.
// Config has its defaults filled in; of given files it holds the names without folders,
// so that the same texts give the same record wherever they lie.
type BuildRecord struct {
	Config BuildConfig  `json:"config"`
	Sets   []SetSummary `json:"sets"`
	// Derived is how the questions came out of given profiles; nil for
	// fictitious people.
	Derived *Derivation `json:"derived,omitempty"`
}

// SetSummary counts one set.
// An evaluation set has questions and no pairs, a training set the other way round.
type SetSummary struct {
	Name      string `json:"name"`
	People    int    `json:"people"`
	Images    int    `json:"images"`
	Questions int    `json:"questions"`
	Pairs     int    `json:"pairs"`
}

// BuildFile is the name of the record Build writes last: configuration, seed
// and counts. A folder without it is unfinished.
const BuildFile = "build.json"

// Build writes a benchmark in the published layout: Full_Set (questions, the
// first view), Test_Set (the same questions, unseen views), Retain_Set (the
// celebrities, questions only), ft_Data and the forget and retain sets
// (pairs, one row a view), and last BuildFile. The same configuration gives
// the same bytes.
//
// A folder that Build wrote, or began to, may be built into again: files are replaced
// one by one, and the record is missing while that goes on. Any other folder with files
// in it is refused, since sets of other people may lie there under the same names.
func Build(ctx context.Context, cfg BuildConfig) (BuildRecord, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return BuildRecord{}, err
	}
	s := BuildRecord{Config: cfg}
	if err := s.build(ctx, cfg); err != nil {
		return BuildRecord{}, fmt.Errorf("data build: %w", err)
	}
	return s, nil
}

func (s *BuildRecord) build(ctx context.Context, cfg BuildConfig) error {
	// Never fewer than the base model knows, so that the people avoid the faces of all of
	// them, however many the benchmark asks about.
	celebrities, err := Celebrities(max(cfg.Celebrities, BaseCelebrities))
	if err != nil {
		return err
	}
	var people []built
	var splits []split
	if cfg.Profiles == "" {
		people, splits, err = fictitious(cfg, celebrities)
	} else {
		people, splits, s.Derived, err = fromProfiles(cfg, celebrities)
		s.Config.Profiles, s.Config.Splits = filepath.Base(cfg.Profiles), filepath.Base(cfg.Splits)
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cfg.Out, 0o755); err != nil {
		return err
	}
	if err := ours(cfg.Out); err != nil {
		return err
	}
	// Away first and written last: while sets of two configurations may lie here,
	// nothing says that the folder is finished.
	mark, record := filepath.Join(cfg.Out, begunFile), filepath.Join(cfg.Out, BuildFile)
	if err := safefile.WriteBytes(mark, nil); err != nil {
		return err
	}
	if err := os.Remove(record); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := s.write(ctx, cfg, people, splits, celebrities[:cfg.Celebrities]); err != nil {
		return err
	}
	err = safefile.Write(record, func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(s)
	})
	if err != nil {
		return err
	}
	return os.Remove(mark)
}

// begunFile lies in a folder that is being written, so that a build that was
// interrupted may be made again.
const begunFile = ".build-begun"

// ours refuses a folder with files that Build has not written.
func ours(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) == 0 {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, begunFile)); err == nil {
		return nil
	}
	raw, err := os.ReadFile(filepath.Join(dir, BuildFile))
	var r BuildRecord
	if err == nil && json.Unmarshal(raw, &r) == nil && len(r.Sets) > 0 {
		return nil
	}
	return fmt.Errorf("%s holds files that data build has not written, as %s; choose another folder, or empty this one", dir, entries[0].Name())
}

// built is one person on the way to the files.
// Its pictures are drawn set by set, when the files are written.
type built struct {
	dataset.Profile
	face portrait.Face
}

// fictitious draws the people of a benchmark, and who of them is forgotten. The celebrities
// are avoided in name and face: what is asked of them must not be about anybody who is
// forgotten.
func fictitious(cfg BuildConfig, avoid []Person) ([]built, []split, error) {
	people, err := People(cfg.People, cfg.Seed, "fictitious", "", avoid)
	if err != nil {
		return nil, nil, err
	}
	out := make([]built, len(people))
	for i, p := range people {
		out[i] = p.built(cfg.Seed, cfg.AnswerStyle)
	}
	// One order for all percentages: forget_5 is part of forget_10.
	order := random.Stream(cfg.Seed, "forget", 0).Perm(len(people))
	var splits []split
	for _, percent := range cfg.ForgetPercents {
		// Rounded to the nearest person.
		n := (len(people)*percent + 50) / 100
		if percent < 1 || percent > 99 || n == 0 || n == len(people) {
			return nil, nil, fmt.Errorf("forget percent %d of %d people leaves %d to forget; both sides need at least one person", percent, len(people), max(n, 0))
		}
		f := split{fmt.Sprintf("forget_%d", percent), map[string]bool{}}
		r := split{fmt.Sprintf("retain_%d", 100-percent), map[string]bool{}}
		for rank, i := range order {
			if rank < n {
				f.ids[people[i].ID] = true
			} else {
				r.ids[people[i].ID] = true
			}
		}
		splits = append(splits, f, r)
	}
	return out, splits, nil
}

// built is a person with all questions; the pictures are drawn when the files are written.
func (about Person) built(seed uint64, style AnswerStyle) built {
	return built{face: about.Face, Profile: dataset.Profile{
		ID: about.ID, Name: about.Name(), Biography: about.Biography(),
		Question: portrait.DescribeQuestion, Answer: about.Face.Describe(),
		Eval: about.EvalQuestions(seed), Train: about.TrainPairs(seed, style),
	}}
}

// write draws the pictures and writes the sets, counting each.
func (s *BuildRecord) write(ctx context.Context, cfg BuildConfig, people []built, splits []split, celebrities []Person) error {
	train, err := withViews(ctx, cfg, people, cfg.Seed, 0, cfg.Views)
	if err != nil {
		return err
	}
	for _, set := range append([]split{{name: mllmu.TrainSet}}, splits...) {
		of := slices.DeleteFunc(slices.Clone(train), func(p dataset.Profile) bool { return set.ids != nil && !set.ids[p.ID] })
		if err := mllmu.WriteTraining(cfg.Out, set.name, of); err != nil {
			return err
		}
		s.count(set.name, of, false)
	}
	// The evaluation set shows a view that training shows, as the published one
	// does; Test_Set has those that it never shows.
	for i := range train {
		train[i].Images = train[i].Images[:1]
	}
	if err := s.evaluation(cfg.Out, mllmu.FullSet, train, false); err != nil {
		return err
	}
	test, err := withViews(ctx, cfg, people, cfg.Seed, cfg.Views, cfg.TestViews)
	if err != nil {
		return err
	}
	if err := s.evaluation(cfg.Out, mllmu.TestSet, test, true); err != nil {
		return err
	}
	outside := make([]built, len(celebrities))
	for i, p := range celebrities {
		outside[i] = p.built(CelebritySeed, cfg.AnswerStyle)
	}
	known, err := withViews(ctx, cfg, outside, CelebritySeed, 0, 1)
	if err != nil {
		return err
	}
	return s.evaluation(cfg.Out, mllmu.RetainSet, known, false)
}

// evaluation writes a set of questions; list is whether pictures are a list column, as Test_Set
// has them.
func (s *BuildRecord) evaluation(dir, name string, profiles []dataset.Profile, list bool) error {
	s.count(name, profiles, true)
	return mllmu.WriteEvaluation(dir, name, profiles, list)
}

// count adds a set to the record.
func (s *BuildRecord) count(name string, profiles []dataset.Profile, evaluation bool) {
	c := SetSummary{Name: name, People: len(profiles)}
	for _, p := range profiles {
		c.Images += len(p.Images)
		if evaluation {
			c.Questions += len(p.Eval)
		} else {
			c.Pairs += len(p.Train)
		}
	}
	s.Sets = append(s.Sets, c)
}

// withViews draws views first … first+n-1 of every person.
// A view is a function of (seed, ID, number), so that neither the order of drawing nor
// cfg.Workers changes a byte.
func withViews(ctx context.Context, cfg BuildConfig, people []built, seed uint64, first, n int) ([]dataset.Profile, error) {
	out := make([]dataset.Profile, len(people))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(cfg.Workers)
	for i, p := range people {
		g.Go(func() error {
			out[i] = p.Profile
			out[i].Images = make([]dataset.Image, n)
			for v := range n {
				if err := ctx.Err(); err != nil {
					return err
				}
				// The fastest compression: noise in every pixel leaves little to gain.
				var b bytes.Buffer
				enc := png.Encoder{CompressionLevel: png.BestSpeed}
				if err := enc.Encode(&b, portrait.View(p.face, cfg.ImageSize, seed, p.ID, first+v)); err != nil {
					return fmt.Errorf("portrait of %s: %w", p.ID, err)
				}
				name := fmt.Sprintf("%s-%d.png", p.ID, first+v)
				out[i].Images[v] = dataset.Image{Bytes: b.Bytes(), Path: name, Where: name}
			}
			return nil
		})
	}
	return out, g.Wait()
}
