package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"vgid/cmd/vgid/internal/cmdline"
	"vgid/model/backend"
	"vgid/model/cuda"
	"vgid/model/dry"
	"vgid/model/kit/bytesize"
	"vgid/vgid/folder"
	"vgid/vgid/quickstart"
)

// inspectCommand answers what a user asks before a run: whether the folder can be read, what would be
// trained, whether it fits. It loads no weights; problems of a folder are rows of its answer, not a
// failure.
func inspectCommand() *cli.Command {
	return &cli.Command{
		Name: "inspect", Usage: "what is in a model's folder, what would be trained, and the memory each step takes on this machine",
		Description: `Reads headers only. The memory is what the steps allocate when they are taken on a device that only
counts; a step of VGID is the teacher's pass, the student's and the update, and --method takes those of
others. "mapped" are weights that stay in their file: the system keeps as much of them in memory as there
is room for, and reads the rest again.`,
		Flags: []cli.Flag{
			cmdline.ModelFlag(),
			cmdline.AdapterFlag(),
			cmdline.TargetsFlag(),
			&cli.IntFlag{Name: "r", Value: 16, Usage: "rank of that adapter"},
			&cli.BoolFlag{Name: "full", Usage: "list the weights of full fine-tuning instead of an adapter's layers"},
			cmdline.WeightsFlag(),
			cmdline.MethodFlag(),
			cmdline.WorkersFlag(),
			&cli.IntFlag{Name: "batch", Value: 1, Usage: "sequences of a pass, each with one image"},
			&cli.IntFlag{Name: "tokens", Usage: "tokens of a sequence, those of its image included; 0: the image's and 128"},
			cmdline.SideFlag(),
			&cli.IntFlag{Name: "max-new", Value: 64, Usage: "tokens that are generated"},
			&cli.StringFlag{Name: "device", Value: "cpu", Usage: "what the memory is estimated for: cpu, this machine; or cuda, the first GPU, or with --memory any in any build"},
			&cli.StringFlag{Name: "memory", Usage: "`SIZE` of the GPU's memory, such as 80GiB"},
			&cli.StringFlag{Name: "precision", Value: "float32", Usage: "of a GPU: float32, tf32, or bfloat16, where activations are kept in it"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON instead of tables; it lists every module"},
		},
		Action: func(c *cli.Context) error {
			if err := cmdline.FlagsOnly(c, "model"); err != nil {
				return err
			}
			if err := cmdline.Positive(c, "r", "batch", "image-side", "max-new", "workers"); err != nil {
				return err
			}
			if err := cmdline.NotNegative(c, "tokens"); err != nil {
				return err
			}
			// Where all weights are trained there is no adapter to look at.
			if c.Bool("full") && c.IsSet("adapter") {
				return cmdline.Errorf(c, "--full and --adapter exclude each other")
			}
			// The flags are all read before the model is looked for, which may be on a hub.
			lora, err := cmdline.LoRA(c)
			if err != nil {
				return err
			}
			o := folder.InspectOptions{
				LoRA: lora, Full: c.Bool("full"), DType: c.String("dtype"), Batch: c.Int("batch"), Tokens: c.Int("tokens"), Side: c.Int("image-side"), New: c.Int("max-new"),
			}
			if o.Training, err = cmdline.Method(c); err != nil {
				return err
			}
			if err := onDevice(c, &o); err != nil {
				return err
			}
			d, adapter, err := cmdline.OpenModel(c)
			if err != nil {
				return err
			}
			defer d.Close()
			o.Adapter = adapter
			r, err := folder.Inspect(c.Context, d, o)
			// Before the output: a reader that leaves early (head) ends this process by SIGPIPE in the write.
			cmdline.RemoveScratch()
			if err != nil {
				return err
			}
			// The folder that a built-in model was written to is gone by now, and its name would say
			// nothing.
			if builtin, _, _ := quickstart.Find(c.String("model")); builtin != "" {
				r.Folder = c.String("model")
			}
			return cmdline.Show(c, r, func(w io.Writer) error { return inspection(w, r) })
		},
	}
}

// driverMemory is set aside on a card that is elsewhere for the driver's context,
// its code and cuBLASLt's. It is an allowance: no card has been asked.
const driverMemory = 1 << 30

// onDevice says for what device inspect estimates memory.
// This machine's memory is read later (Inspect); a GPU's is asked for, or given.
func onDevice(c *cli.Context, o *folder.InspectOptions) (err error) {
	if o.Kind, err = cmdline.Device(c); err != nil {
		return err
	}
	p, err := cmdline.Precision(c, c.String("precision"), o.Kind)
	if err != nil {
		return err
	}
	switch onCPU := o.Kind == "cpu"; {
	case onCPU && c.IsSet("memory"):
		return cmdline.Errorf(c, "--memory is of a GPU; give --device cuda")
	case onCPU:
		o.Device = dry.CPU()
		return nil
	}
	// The device is one that only counts, so that a build without CUDA can estimate for a card.
	o.Device = dry.CUDA(backend.F32)
	if p == cuda.BFloat16 {
		o.Device.Activations = backend.BF16
	}
	if c.IsSet("memory") {
		if o.Memory, err = cmdline.ParseSize(c.String("memory")); err != nil || o.Memory == 0 {
			return cmdline.Errorf(c, "--memory %q is no size; write 80GiB", c.String("memory"))
		}
		o.Free = max(0, o.Memory-driverMemory)
		return nil
	}
	if o.Free, o.Memory, err = cuda.Memory(0, cuda.Options{Warn: cmdline.Warn}); err != nil {
		return cmdline.Errorf(c, "--device cuda: %w; or say how much memory the card has, such as --memory 80GiB", err)
	}
	return nil
}

// inspection is what people read.
// Two tables and a sentence between them: the columns of the one would stretch the other's.
// What a folder lacks stands in its row, so that the table has the same rows for every model.
func inspection(to io.Writer, r *folder.Inspection) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	row := func(cells ...string) { fmt.Fprintln(w, strings.Join(cells, "\t")) }
	row("folder", r.Folder)
	row("family", r.Family)
	row("decoder", r.Text)
	row("vision", r.Vision)
	for _, p := range r.Parts {
		row("", fmt.Sprintf("%s: %s parameters in %d tensors", p.Part, thousands(p.Parameters), p.Tensors))
	}
	var types []string
	for _, t := range r.Types {
		types = append(types, fmt.Sprintf("%s: %d tensors, %s", t.DType, t.Tensors, size(t.Bytes)))
	}
	row("types", strings.Join(types, "; "))
	for i, f := range r.Files {
		name := ""
		if i == 0 {
			name = "files"
		}
		row(name, fmt.Sprintf("%s: %d tensors, %s", f.Name, f.Tensors, size(f.Bytes)))
	}
	row("tokenizer", orNone(r.Tokenizer))
	row("images", orNone(r.Images))
	row("chat", map[bool]string{true: "the folder has a template", false: "no template"}[r.ChatTemplate])
	for _, n := range r.Notes {
		row("note", n)
	}
	for _, p := range r.Problems {
		row("PROBLEM", p)
	}
	row("trained", fmt.Sprintf("%s: %d in all", r.Trained, len(r.Modules)))
	// Names of modules with their numbers drawn together; --json lists all.
	row("", r.Shortened)
	if err := w.Flush(); err != nil {
		return err
	}
	has := map[string]string{"cpu": "this machine", "cuda": "the GPU"}[r.Device]
	fmt.Fprintf(to, "\nmemory of a pass over %d × %d tokens with an image each, %d generated; %s has %s, %s are free\n",
		r.Batch, r.Tokens, r.New, has, size(r.Memory), size(r.Free))
	w = tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	row("step", "trained parameters", "mapped", "weights", "training", "activations", "total", "")
	for _, s := range r.Steps {
		row(s.Step, thousands(s.Parameters), size(s.Mapped), size(s.Weights), size(s.Trained), size(s.Activations), size(s.Total), verdict(s, r.Free))
	}
	return w.Flush()
}

// verdict is the last column: whether a step fits into free memory. Mapped weights need not be in memory
// all at once, so that too little room for them makes a step slow and does not fail it.
// free is in bytes.
func verdict(s folder.Step, free int64) string {
	switch {
	case s.Missing > 0:
		return "needs " + size(s.Missing) + " more"
	case s.Mapped > 0 && s.Written+s.Mapped > free:
		return "fits; mapped weights are partly read again and again"
	}
	return "fits"
}

// orNone says that a part of the folder is missing, or is of a kind that is not known.
func orNone(s string) string {
	if s == "" {
		return "none that can be used"
	}
	return s
}

// size is a number of bytes as people read it.
// A dash stands for nothing, since a column of zeros hides the numbers in it.
func size(n int64) string {
	if n == 0 {
		return "–"
	}
	return bytesize.Binary(n).GiB(2)
}

// thousands is a count with its digits in groups of three.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
