package model

import (
	"context"
	"fmt"
	"slices"

	"vgid/model/backend"
	"vgid/model/decoding"
	"vgid/model/nn"
	"vgid/model/params"
	"vgid/model/tape"
)

// GenerateOptions say how tokens are chosen.
type GenerateOptions struct {
	MaxNew int // tokens per prompt, the end token included
	// Temperature 0 takes the most likely token. Above, a token is drawn after
	// TopK (0 for all) and TopP (0 or 1 for all) have cut the tail.
	Temperature, TopP float32
	TopK              int
	// Decoding changes logits before the temperature, and when greedy.
	Decoding decoding.Settings
	// Seed keys the draws, together with Sequence.Sample and the number of the
	// token: a prompt's answer does not depend on its company.
	Seed uint64
	EOS  []int32 // end tokens; the answer stops before the first
	// Stop, when given, is asked after every token whether the answer so far
	// ends there: stop strings, which need a tokenizer to be seen.
	Stop func(answer []int32) bool
	// Ended, when given, is told the number of a prompt whose answer is complete:
	// what Generate returns beside an error holds those that are.
	Ended func(prompt int)
	// MaxBatchTokens bounds the rows of the key-value cache and of a prefill;
	// 0 means 8192. One prompt always fits.
	MaxBatchTokens int
}

func (o *GenerateOptions) validate() error {
	switch {
	case o.MaxNew <= 0:
		return fmt.Errorf("generate: MaxNew must be positive, not %d", o.MaxNew)
	case !(o.Temperature >= 0):
		return fmt.Errorf("generate: temperature %g must not be negative", o.Temperature)
	case !(o.TopP >= 0 && o.TopP <= 1):
		return fmt.Errorf("generate: top-p %g is not in [0, 1]", o.TopP)
	case o.TopK < 0:
		return fmt.Errorf("generate: top-k %d must not be negative", o.TopK)
	case o.MaxBatchTokens < 0:
		return fmt.Errorf("generate: MaxBatchTokens %d must not be negative", o.MaxBatchTokens)
	}
	if o.MaxBatchTokens == 0 {
		o.MaxBatchTokens = 8192
	}
	return nil
}

// kvCache is the cache with its memory.
type kvCache struct {
	nn.KVCache
	buf backend.Buffer
}

func (m *Model) newCache(rows int) (*kvCache, error) {
	c := &m.Config.Text
	width := c.KVHeads * c.HeadDim
	n := rows * width
	defer backend.For(m.Backend(), backend.Activations)()
	buf, err := m.Backend().Alloc(m.Backend().Traits().Activations, 2*c.Layers*n)
	if err != nil {
		return nil, fmt.Errorf("generate: no memory for a cache of %d tokens: %w", rows, err)
	}
	k := &kvCache{buf: buf}
	for l := range c.Layers {
		k.Keys = append(k.Keys, backend.View(buf, 2*l*n, rows, width))
		k.Values = append(k.Values, backend.View(buf, (2*l+1)*n, rows, width))
	}
	return k, nil
}

// answer is a prompt being answered.
type answer struct {
	prompt int    // index of the caller's
	sample uint32 // keys the draws
	slot   int32  // first row of its cache
	len    int32  // rows in use
	shift  int32  // position of the next token less len
	last   int32  // token to feed next
	drawn  int    // tokens so far
}

// generation is the state of one Generate call.
type generation struct {
	m      *Model
	view   View
	o      GenerateOptions
	asked  []Sequence
	tape   *tape.Tape
	cache  *kvCache
	slot   int // rows per slot
	free   []int32
	active []answer
	out    [][]int32
	logits []float32
	tokens []int32
	change decoding.Processor
	pick   sampler
}

// Generate answers every prompt: a sequence that ends in the middle of a text,
// with its images. Prompts share passes, and one that has ended makes room for
// the next. The answers hold neither prompt nor end token.
func (v View) Generate(ctx context.Context, prompts []Sequence, o GenerateOptions) ([][]int32, error) {
	m := v.m
	if err := o.validate(); err != nil {
		return nil, err
	}
	if err := o.Decoding.Validate(m.Config.Text.VocabSize); err != nil {
		return nil, fmt.Errorf("generate: %w", err)
	}
	longest := 0
	for i := range prompts {
		if err := m.Config.Check(&prompts[i]); err != nil {
			return nil, fmt.Errorf("prompt %d: %w", i, err)
		}
		if n := len(prompts[i].IDs) + o.MaxNew; n > m.Config.Text.MaxPositions {
			return nil, fmt.Errorf("prompt %d: %d tokens and %d new ones are more than max_position_embeddings %d of the model",
				i, len(prompts[i].IDs), o.MaxNew, m.Config.Text.MaxPositions)
		}
		longest = max(longest, len(prompts[i].IDs))
	}
	g := &generation{m: m, view: v, o: o, change: decoding.Processor{Settings: o.Decoding}, asked: prompts, out: make([][]int32, len(prompts)), slot: longest + o.MaxNew}
	if len(prompts) == 0 {
		return g.out, nil
	}
	slots := min(max(1, o.MaxBatchTokens/g.slot), len(prompts))
	var err error
	if g.cache, err = m.newCache(slots * g.slot); err != nil {
		return nil, err
	}
	defer m.Backend().Free(g.cache.buf)
	for s := slots - 1; s >= 0; s-- {
		g.free = append(g.free, int32(s*g.slot))
	}
	g.tape = tape.For(m.Backend())
	defer g.tape.Close()
	return g.out, numbered(g.run(ctx))
}

func (g *generation) run(ctx context.Context) error {
	next, prompts := 0, g.asked
	for next < len(prompts) || len(g.active) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		from, rows := next, 0
		for next < len(prompts) && next-from < len(g.free) {
			if n := len(prompts[next].IDs); next > from && rows+n > g.o.MaxBatchTokens {
				break
			} else {
				rows += n
			}
			next++
		}
		var err error
		if next > from {
			err = g.prefill(ctx, from, next)
		} else {
			err = g.step(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// prefill reads the prompts [first, end) into free slots and draws their first
// tokens.
func (g *generation) prefill(ctx context.Context, first, end int) error {
	prompts := g.asked[first:end]
	b, err := g.m.Pack(prompts)
	if err != nil {
		return err
	}
	defer b.Release()
	g.tape.Reset(tape.Options{})
	from := len(g.active)
	var rows, last []int32
	for i := range prompts {
		slot := g.free[len(g.free)-1]
		g.free = g.free[:len(g.free)-1]
		n := int32(len(prompts[i].IDs))
		for p := range n {
			rows = append(rows, slot+p)
		}
		last = append(last, int32(b.Start(i))+n-1)
		g.active = append(g.active, answer{prompt: first + i, sample: prompts[i].Sample, slot: slot, len: n, shift: b.next[i] - n})
	}
	b.slots = g.tape.Ints(rows, 1)
	b.cached = g.see(g.active[from:])
	h := g.view.decode(g.tape, b, &g.cache.KVCache)
	return g.draw(ctx, g.view.Rows(g.tape, h, last), from)
}

// step feeds the last token of every active answer and draws the next.
func (g *generation) step(ctx context.Context) error {
	m := g.m
	g.tape.Reset(tape.Options{})
	b := m.batch()
	defer b.Release()
	n := len(g.active)
	var rows []int32
	to := &b.staging
	to.Begin(&b.ids, 1)
	for i := range g.active {
		a := &g.active[i]
		to.Put(a.last)
		b.seqStart, b.seqLen = append(b.seqStart, int32(i)), append(b.seqLen, 1)
		rows = append(rows, a.slot+a.len)
		p := a.len + a.shift
		b.positions = append(b.positions, nn.Position{p, p, p})
		a.len++
	}
	b.tokens = n
	b.seqs = to.Sequences(b.seqStart, b.seqLen, &b.seqs.Dev)
	b.angles()
	if err := to.Upload(m.Backend(), 0); err != nil {
		return err
	}
	b.rows = backend.Tensor{}
	b.slots = g.tape.Ints(rows, 1)
	b.cached = g.see(g.active)
	return g.draw(ctx, g.view.decode(g.tape, b, &g.cache.KVCache), 0)
}

// see lists the cached rows each answer attends to.
func (g *generation) see(as []answer) backend.Seqs {
	var s backend.Seqs
	var dev []int32
	for _, a := range as {
		s.Start, s.Len = append(s.Start, a.slot), append(s.Len, a.len)
		dev = append(dev, a.slot, a.len)
	}
	s.Dev = g.tape.Ints(dev, 2)
	return s
}

// draw chooses the next token of the active answers from first on, whose
// hidden rows are h, and retires those that end. Nothing is chosen among logits
// that are not finite.
func (g *generation) draw(ctx context.Context, h tape.Var, first int) error {
	m, hidden := g.m, g.tape.Value(h)
	vocab := m.Config.Text.VocabSize
	logits := g.view.Logits(g.tape, hidden)
	g.tokens = slices.Grow(g.tokens[:0], hidden.Rows)[:hidden.Rows]
	changed := g.o.Decoding.Active()
	if g.o.Temperature == 0 && !changed {
		best := g.tape.ScratchInts(hidden.Rows, 1)
		m.Backend().ArgMax(best, logits)
		if err := m.Backend().DownloadInts(g.tokens, best); err != nil {
			return err
		}
		if i := slices.Index(g.tokens, -1); i >= 0 {
			return m.notFinite(ctx, g.active[first+i].prompt)
		}
	} else {
		n := hidden.Rows * vocab
		g.logits = slices.Grow(g.logits[:0], n)[:n]
		if err := m.Backend().Download(g.logits, logits); err != nil {
			return err
		}
		for i := range g.tokens {
			a := &g.active[first+i]
			row := g.logits[i*vocab : (i+1)*vocab]
			if params.NotFinite(row) > 0 {
				return m.notFinite(ctx, a.prompt)
			}
			if changed {
				g.change.Apply(row, &decoding.Text{Prompt: g.asked[a.prompt].IDs, Answer: g.out[a.prompt], Ends: g.o.EOS, MaxNew: g.o.MaxNew})
			}
			g.tokens[i] = g.pick.draw(row, &g.o, a.sample, a.drawn)
		}
	}
	kept := g.active[:first]
	for i, a := range g.active[first:] {
		a.last = g.tokens[i]
		a.drawn++
		end := slices.Contains(g.o.EOS, a.last)
		if !end {
			g.out[a.prompt] = append(g.out[a.prompt], a.last)
			end = g.o.Stop != nil && g.o.Stop(g.out[a.prompt])
		}
		if end || a.drawn == g.o.MaxNew {
			g.free = append(g.free, a.slot)
			if g.o.Ended != nil {
				g.o.Ended(a.prompt)
			}
			continue
		}
		kept = append(kept, a)
	}
	g.active = kept
	return g.tape.Err()
}
