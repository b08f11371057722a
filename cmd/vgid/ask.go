package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"vgid/cmd/vgid/internal/cmdline"
	"vgid/model"
	"vgid/model/cpu"
	"vgid/model/kit/safefile"
	"vgid/vgid/ask"
	"vgid/vgid/run/barrier"
)

// askFlags are what forward and generate share.
// A command that asks a model has these first, then its own.
func askFlags(more ...cli.Flag) []cli.Flag {
	return append([]cli.Flag{
		cmdline.ModelFlag(),
		cmdline.AdapterFlag(),
		&cli.StringFlag{Name: "prompt", Usage: "raw `TEXT`; each image has a mark in it: <image>, or the model's own"},
		&cli.StringSliceFlag{Name: "image", Usage: "image `FILE`; one for each mark, in their order"},
		&cli.BoolFlag{Name: "chat", Usage: "put the prompt into the model's chat template, as a user's message behind its images"},
		&cli.StringFlag{Name: "dtype", Value: "auto", Usage: "how weights are kept in memory: float32, bfloat16, or auto, as in the files; arithmetic is float32"},
		&cli.IntFlag{Name: "threads", Usage: "CPU threads; 0 takes GOMAXPROCS"},
	}, more...)
}

// withModel opens the model of the command line and runs f on it.
// It is on the CPU, in one process and without a configuration: forward and generate answer a question
// about a folder, and compute the same wherever they are run.
// Notices are told before f runs, so that they stand before what may take long.
func withModel(c *cli.Context, f func(a *ask.Asker) error) error {
	if err := cmdline.FlagsOnly(c); err != nil {
		return err
	}
	if err := cmdline.NotNegative(c, "threads"); err != nil {
		return err
	}
	d, adapter, err := cmdline.OpenModel(c)
	if err != nil {
		return err
	}
	defer d.Close()
	be := cpu.New(c.Int("threads"))
	defer be.Close()
	a, err := ask.Open(c.Context, be, d, adapter, model.LoadOptions{Weights: c.String("dtype")})
	if err != nil {
		return err
	}
	defer a.Model.Close()
	a.Render = c.Bool("chat")
	cmdline.Tell(a.Notices())
	return f(a)
}

// forwardCommand is for checks: what it writes can be compared, tensor by tensor, with what any other
// program makes of the same folder.
func forwardCommand() *cli.Command {
	return &cli.Command{
		Name: "forward", Usage: "run a model on one prompt and write what it computed, to check anything against anything",
		Description: `FILE is safetensors: input_ids and labels [1, tokens], pixel_values (and image_grid_thw) as
transformers shapes them, logits [tokens, vocab]. With --grad also loss, the mean cross-entropy of the
labels, and grad.<name> of every trained parameter: the adapter's where one is given, else all. The labels
are all tokens after the first, or those of --answer, which is appended to the prompt; -100 stands where
there is none. Nothing is dropped out.`,
		Flags: askFlags(
			&cli.StringFlag{Name: "out", Usage: "`FILE` to write"},
			&cli.BoolFlag{Name: "grad", Usage: "also loss and gradients"},
			&cli.StringFlag{Name: "answer", Usage: "`TEXT` behind the prompt, encoded with it as one text, whose tokens alone are the labels; with --chat the model's message"},
			&cli.BoolFlag{Name: "recompute", Usage: "compute activations twice instead of keeping them"},
		),
		Action: func(c *cli.Context) error {
			if err := cmdline.Need(c, "model", "prompt", "out"); err != nil {
				return err
			}
			return withModel(c, func(a *ask.Asker) error { return forward(c, a) })
		},
	}
}

// Gradients without an adapter need all weights set trainable, before the pass that records them. The
// labels begin at token first: 1 without an answer, as no token stands before the first to predict it.
// a is the caller's to close.
func forward(c *cli.Context, a *ask.Asker) error {
	a.Model.Recompute = c.Bool("recompute")
	if c.Bool("grad") && a.Model.Adapter() == nil {
		if _, err := a.Model.Trainable("*"); err != nil {
			return err
		}
	}
	s, first, err := a.Answered(c.String("prompt"), c.String("answer"), c.StringSlice("image"))
	if err != nil {
		return err
	}
	switch {
	case !c.IsSet("answer"):
		first = 1
	case first == len(s.IDs):
		return cmdline.Errorf(c, "--answer is empty")
	}
	p, err := a.Forward(c.Context, s, first, c.Bool("grad"))
	if err != nil {
		return err
	}
	if err := p.Write(c.String("out"), a.Model.Config); err != nil {
		return err
	}
	fmt.Printf("%d tokens, %d images written to %s\n", len(s.IDs), len(s.Images), c.String("out"))
	if c.Bool("grad") {
		fmt.Printf("loss %.6g, %d gradients\n", p.Loss, len(p.Grads))
	}
	return nil
}

// generateCommand checks the flags against each other before a model is opened.
func generateCommand() *cli.Command {
	return &cli.Command{
		Name: "generate", Usage: "let a model continue a prompt, or those of a file",
		Description: `Prints the answer. With --in and --out, FILE.jsonl holds one object a line, {"prompt": TEXT,
"images": [FILE, …]} with paths relative to it, and each is written with the field answer added (--field names
another; a line's own field is never replaced). Prompts share passes. Lines that cannot be answered are named
before the first answer and left out; a signal or a failure keeps the answers so far. The exit status then is not 0.`,
		Flags: askFlags(
			&cli.StringFlag{Name: "in", Usage: "`FILE.jsonl` of prompts, instead of --prompt"},
			&cli.StringFlag{Name: "out", Usage: "`FILE.jsonl` to write, with --in"},
			&cli.StringFlag{Name: "field", Value: "answer", Usage: "`NAME` of the field that holds the answer, with --in"},
			&cli.IntFlag{Name: "max-new", Value: 64, Usage: "most tokens of an answer"},
			&cli.Float64Flag{Name: "temperature", Usage: "0 takes the likeliest token"},
			&cli.Float64Flag{Name: "top-p", Usage: "draw among the likeliest tokens of this probability; 0: all"},
			&cli.IntFlag{Name: "top-k", Usage: "draw among this many of the likeliest tokens; 0: all"},
			&cli.Float64Flag{Name: "repetition-penalty", DefaultText: "generation_config.json's", Usage: "makes tokens of the prompt and the answer so far less likely, above 1; 1: none"},
			&cli.Uint64Flag{Name: "seed", Usage: "of the draws"},
			&cli.StringSliceFlag{Name: "stop", Usage: "`TEXT` that ends an answer; may be given several times"},
			&cli.IntFlag{Name: "batch-tokens", Value: 8192, Usage: "most tokens in flight"},
		),
		Action: func(c *cli.Context) error {
			if err := cmdline.Need(c, "model"); err != nil {
				return err
			}
			if err := cmdline.Positive(c, "max-new"); err != nil {
				return err
			}
			// --prompt asks one question and --in many; --out belongs to --in, since one answer
			// goes to standard output.
			switch file, prompt := c.IsSet("in"), c.IsSet("prompt"); {
			case file && (prompt || c.IsSet("image")):
				return cmdline.Errorf(c, "--in brings its own prompts: leave --prompt and --image out")
			case !file && !prompt:
				return cmdline.Errorf(c, "--prompt is missing (or --in and --out); %s --help tells more", c.Command.HelpName)
			case file != c.IsSet("out"):
				return cmdline.Errorf(c, "--in and --out belong together")
			case c.String("field") == "":
				return cmdline.Errorf(c, "--field is empty: name the field that holds the answer")
			}
			return withModel(c, func(a *ask.Asker) error { return generate(c, a) })
		},
	}
}

// It begins with what the folder's generation_config.json says of decoding (Greedy) and replaces what a
// flag gives. The answer alone is on standard output.
func generate(c *cli.Context, a *ask.Asker) error {
	o := a.Greedy(c.Int("max-new"))
	o.Temperature, o.TopP, o.TopK = float32(c.Float64("temperature")), float32(c.Float64("top-p")), c.Int("top-k")
	o.Seed, o.MaxBatchTokens = c.Uint64("seed"), c.Int("batch-tokens")
	// Of this one alone the folder may have a value (Greedy), which the flag's default would replace.
	if c.IsSet("repetition-penalty") {
		o.Decoding.RepetitionPenalty = float32(c.Float64("repetition-penalty"))
	}
	stops := c.StringSlice("stop")
	if !c.IsSet("in") {
		out, err := a.Answers(c.Context, []ask.Question{{Prompt: c.String("prompt"), Images: c.StringSlice("image")}}, o, stops)
		if err == nil {
			fmt.Println(out[0])
		}
		return err
	}
	return generateFile(c, a, o, stops)
}

// generateFile answers the prompts of a file. What is wrong with a line is known
// before the first answer; the others are answered, and what is answered is written
// also where the work ends early.
//
// The order: what would lose answers (the same file, a field that is taken) is refused
// before a line is looked at, lines that cannot be answered are told before the first answer,
// and the file is named last.
func generateFile(c *cli.Context, a *ask.Asker, o model.GenerateOptions, stops []string) error {
	in, err := os.Open(c.String("in"))
	if err != nil {
		return err
	}
	defer in.Close()
	field, out := c.String("field"), c.String("out")
	if same, err := isFile(out, in); err != nil {
		return err
	} else if same {
		return cmdline.Errorf(c, "--out %s is the file of --in, and lines that cannot be answered would be lost: name another", out)
	}
	lines, err := ask.ReadLines(in, c.String("in"), filepath.Dir(c.String("in")))
	if err != nil {
		return err
	}
	if len(lines) == 0 {
		return fmt.Errorf("%s holds no prompts; each line is %s", c.String("in"), ask.LineForm)
	}
	for _, l := range lines {
		if _, taken := l.Fields[field]; taken {
			return fmt.Errorf("%s: it has a field %s of its own: choose another name for the model's answer with --field (prediction, beside a field reference, is what vgid score reads)", l.Where, field)
		}
	}
	// From here on there are answers to lose; before, a signal just ends the command.
	endInOrder()
	// Prompts and pictures alone, without the model: it takes seconds for what an evaluation
	// of hours would end at.
	if err := a.Check(c.Context, lines, o.MaxNew); err != nil {
		return err
	}
	var bad error
	left := 0
	for _, l := range lines {
		if l.Err != nil {
			if left++; bad == nil {
				bad = l.Err
			}
		}
	}
	all := len(lines) - left
	switch {
	case bad != nil && all == 0:
		return fmt.Errorf("none of the %d lines can be answered: %w", left, bad)
	case bad != nil:
		fmt.Printf("%d of %d lines will be left out: %v\n", left, len(lines), bad)
	}
	n := 0
	var failed error
	// The file gets its name when there is at least one answer, whether or not the work went on
	// to its end.
	err = safefile.Write(out, func(w io.Writer) error {
		if n, failed = a.AnswerLines(c.Context, lines, field, w, o, stops); n == 0 {
			return failed
		}
		return nil
	})
	if err != nil {
		return err
	}
	var i *barrier.Interrupted
	switch {
	// A signal keeps its own status (128 and its number), whatever failed because of it.
	case failed != nil && errors.As(ownEnd(c.Context, failed), &i):
		return &barrier.Interrupted{Signal: i.Signal, Kept: fmt.Sprintf("after %d of %d answers: they are in %s", n, all, out)}
	case failed != nil:
		return fmt.Errorf("%w; the %d of %d answers before it are in %s", failed, n, all, out)
	case bad != nil:
		return fmt.Errorf("%d of %d lines could not be answered, the first: %w; the %d answers to the others are in %s", left, len(lines), bad, n, out)
	}
	fmt.Printf("%d answers written to %s\n", n, out)
	return nil
}

// isFile reports whether path is another name of the file f.
// A comparison of names would miss links, and writing would lose the prompts.
// A path that is not there is no other name of anything.
func isFile(path string, f *os.File) (bool, error) {
	there, err := os.Stat(path)
	if err != nil {
		return false, nil // who writes it says what is wrong
	}
	own, err := f.Stat()
	return err == nil && os.SameFile(there, own), err
}
