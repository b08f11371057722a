// Package tokbench measures how fast a tokenizer encodes, and the tokenizers
// library beside it where there is a Python that has it.
package tokbench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"vgid/model/hf/tokenizer"
	"vgid/model/hf/tokenizer/internal/teststrings"
	"vgid/model/kit/measure"
	"vgid/model/kit/measure/bench"
)

// Options say what is measured. Every way to encode, on its own tokenizer,
// takes each part of the texts once: the first to warm up, the others timed.
type Options struct {
	Dir     string   // folder with tokenizer.json
	Texts   []string // nil: Strings of teststrings for each round
	Strings int
	Threads []int  // each is measured
	Rounds  int    // of all ways in turn
	Python  string // interpreter with tokenizers; empty: vgid alone
}

// Report is the result.
type Report struct {
	Tokenizer string  `json:"tokenizer"` // its kind and size
	Reference string  `json:"reference"` // version of the library; "absent" without Python
	Texts     int     `json:"texts_per_round"`
	Bytes     float64 `json:"bytes_per_text"` // UTF-8
	Same      int     `json:"texts_with_equal_ids"`
	Rows      []Row   `json:"rows"`
}

// Row is one way to encode. The clock is the processor time of the process on
// one thread, so that other programs do not count, and the time that passes on
// several.
type Row struct {
	Threads  int     `json:"threads"`
	Program  string  `json:"program"`
	MBPerS   float64 `json:"mb_per_s"` // million bytes of UTF-8; median of rounds
	TokensPS float64 `json:"tokens_per_s"`
	// Ratio is the median over rounds of this way's time to vgid's on as many
	// threads; above 1 vgid is faster. 0 for vgid itself.
	Ratio float64 `json:"ratio,omitempty"`
}

// ours is the name of vgid's rows.
const ours = "vgid"

// way is a row in the making.
// Each has the rounds of its own Program, in the order of the parts.
type way struct {
	bench.Program[sample]
	threads int
}

// newWay measures encode, which takes a part of texts and gives its seconds.
func newWay(threads int, program string, work []load, encode func(part int) (float64, error)) *way {
	return &way{threads: threads, Program: bench.Program[sample]{Name: program, Measure: func(_ context.Context, part int) (sample, error) {
		s, err := encode(part)
		return sample{work[part], s}, err
	}}}
}

// sample is a part that was encoded.
type sample struct {
	load
	seconds float64
}

// Run measures, and fails when the ids of any text differ.
// Equality is checked before anything is timed.
func Run(ctx context.Context, o Options) (Report, error) {
	path := filepath.Join(o.Dir, "tokenizer.json")
	tok, err := tokenizer.Load(o.Dir)
	if err != nil {
		return Report{}, err
	}
	parts := o.Rounds + 1
	if o.Texts == nil {
		if o.Texts, err = made(path, o.Strings*parts); err != nil {
			return Report{}, err
		}
	}
	// Each round has texts that were never encoded before: a cache of words must not have seen
	// them.
	size := len(o.Texts) / parts
	if size == 0 {
		return Report{}, fmt.Errorf("%d texts are too few for %d rounds and one to warm up", len(o.Texts), o.Rounds)
	}
	o.Texts = o.Texts[:size*parts]
	report := Report{Tokenizer: fmt.Sprintf("%s, %d tokens", tok.Kind(), tok.Size()), Reference: "absent", Texts: size}
	ids := make([][]int32, len(o.Texts))
	encode(tok, o.Texts, ids, runtime.GOMAXPROCS(0))
	work := count(o.Texts, ids, parts)
	for _, t := range o.Texts {
		report.Bytes += float64(len(t)) / float64(len(o.Texts))
	}

	var ways []*way
	for _, n := range o.Threads {
		w, err := mine(o, size, n, work)
		if err != nil {
			return report, err
		}
		ways = append(ways, w)
	}
	if o.Python != "" {
		files, err := scripts(o.Texts)
		if err != nil {
			return report, err
		}
		dir, remove, err := bench.Folder(files)
		if err != nil {
			return report, err
		}
		defer remove()
		for _, n := range o.Threads {
			r, err := startReference(ctx, o.Python, dir, path, parts, n)
			if err != nil {
				return report, err
			}
			defer r.Close()
			if report.Reference == "absent" {
				report.Reference = "tokenizers " + r.version
				if err := equal(r, dir, o.Texts, ids); err != nil {
					return report, err
				}
				report.Same = len(ids)
			}
			ways = append(ways, theirs(r, size, n, work)...)
		}
		slices.SortStableFunc(ways, func(a, b *way) int { return a.threads - b.threads })
	}
	var programs []*bench.Program[sample]
	for _, w := range ways {
		programs = append(programs, &w.Program)
	}
	if err := bench.InTurn(ctx, parts, programs...); err != nil {
		return report, err
	}
	for _, p := range programs {
		p.Rounds = p.Rounds[1:] // the first was to warm up
	}
	report.Rows = rows(ways)
	return report, nil
}

// made are n strings of teststrings.
// They are made to suit the tokenizer in path: its own special tokens are among them.
func made(path string, n int) ([]string, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m, err := teststrings.For(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	out := make([]string, n)
	for i := range out {
		out[i] = m.String(i)
	}
	return out, nil
}

// load is what a part holds.
// Both are sums over the texts of a part; tokens are vgid's, which equal the library's.
type load struct{ bytes, tokens float64 }

// count is what each part holds, in bytes of text and in tokens.
func count(texts []string, ids [][]int32, parts int) []load {
	out, size := make([]load, parts), len(texts)/parts
	for i, t := range texts {
		out[i/size].bytes += float64(len(t))
		out[i/size].tokens += float64(len(ids[i]))
	}
	return out
}

// mine encodes with a tokenizer of its own, whose memory of words is its own.
func mine(o Options, size, threads int, work []load) (*way, error) {
	tok, err := tokenizer.Load(o.Dir)
	if err != nil {
		return nil, err
	}
	return newWay(threads, ours, work, func(part int) (float64, error) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(threads)) // the garbage collector's threads count, too
		texts, ids := o.Texts[part*size:(part+1)*size], make([][]int32, size)
		runtime.GC() // what others have left is not this way's
		begin := measure.Clock(threads)
		encode(tok, texts, ids, threads)
		return (measure.Clock(threads) - begin).Seconds(), nil
	}), nil
}

// encode shares texts among goroutines, some at a time since texts differ in length.
func encode(tok *tokenizer.Tokenizer, texts []string, ids [][]int32, threads int) {
	const some = 64
	var next atomic.Int64
	var wg sync.WaitGroup
	for range threads {
		wg.Go(func() {
			for {
				from := int(next.Add(some)) - some
				if from >= len(texts) {
					return
				}
				for i := from; i < min(from+some, len(texts)); i++ {
					ids[i] = tok.Encode(texts[i], true)
				}
			}
		})
	}
	wg.Wait()
}

// theirs are the library's calls; text by text it has one thread.
func theirs(r *reference, size, threads int, work []load) (out []*way) {
	calls := []string{"encode", "encode_batch", "encode_batch_fast"}
	if threads > 1 {
		calls = calls[1:]
	}
	for _, call := range calls {
		out = append(out, newWay(threads, "tokenizers "+call, work, func(part int) (float64, error) {
			return r.seconds(call, part, size, threads)
		}))
	}
	return out
}

// equal compares ids text by text and shows the first that differ.
func equal(r *reference, dir string, texts []string, ids [][]int32) error {
	want, err := r.ids(dir)
	if err != nil {
		return err
	}
	if len(want) != len(ids) {
		return fmt.Errorf("the library encoded %d texts of %d", len(want), len(ids))
	}
	for i := range ids {
		if !slices.Equal(ids[i], want[i]) {
			return fmt.Errorf("text %d, %q: the ids are %v, the library's %v", i+1, texts[i], ids[i], want[i])
		}
	}
	return nil
}

// rows are the ways with medians; each is compared with vgid on as many threads.
// Ratios are of the same part, which all have encoded.
func rows(ways []*way) (out []Row) {
	mine := map[int]*bench.Program[sample]{}
	for _, w := range ways {
		if w.Name == ours {
			mine[w.threads] = &w.Program
		}
	}
	for _, w := range ways {
		row := Row{Threads: w.threads, Program: w.Name,
			MBPerS:   w.Median(func(s sample) float64 { return s.bytes / s.seconds * 1e-6 }),
			TokensPS: w.Median(func(s sample) float64 { return s.tokens / s.seconds })}
		if w.Name != ours {
			row.Ratio = w.Ratio(mine[w.threads], func(s sample) float64 { return s.seconds })
		}
		out = append(out, row)
	}
	return out
}

// ReadTexts reads a JSON string a line, as vgid tokenize does.
func ReadTexts(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	texts := []string{}
	for d := json.NewDecoder(f); ; {
		var s *string
		err := d.Decode(&s)
		if errors.Is(err, io.EOF) {
			return texts, nil
		}
		if err != nil || s == nil {
			return nil, fmt.Errorf("%s: text %d is not a JSON string; give one a line, as vgid tokenize takes", path, len(texts)+1)
		}
		texts = append(texts, *s)
	}
}

// Table prints the report for people.
func (r Report) Table(to io.Writer) error {
	var t bench.Table
	t.Titlef("%s; %d texts of %.0f bytes a round\n", r.Tokenizer, r.Texts, r.Bytes)
	if r.Same > 0 {
		t.Titlef("%s: equal ids of all %d texts\n", r.Reference, r.Same)
	}
	t.Rowf("threads\tprogram\tMB/s\ttokens/s\tratio")
	for _, row := range r.Rows {
		ratio := ""
		if row.Ratio > 0 {
			ratio = fmt.Sprintf("%.2f", row.Ratio)
		}
		t.Rowf("%d\t%s\t%.2f\t%.0f\t%s", row.Threads, row.Program, row.MBPerS, row.TokensPS, ratio)
	}
	return t.Write(to)
}
