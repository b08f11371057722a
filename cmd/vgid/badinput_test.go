//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/parquet-go/parquet-go"
	"golang.org/x/sys/unix"

	"vgid/eval/formats"
	"vgid/vgid/quickstart"
)

// badInput is something wrong that a user may give a command.
type badInput struct {
	name string
	// args makes the command line; whatever it prepares lies in dir, and the
	// run's folder is out.
	args func(t *testing.T, dir, out string) []string
	want []string // parts of the one line: what, where, what to do
}

// unlearnWith is vgid unlearn on the small world, but for these settings.
func unlearnWith(out string, over map[string]string) []string {
	return append([]string{"unlearn"}, flags(out, over)...)
}

// brokenModel is unlearning from a copy of the model that f breaks.
func brokenModel(f func(t *testing.T, dir string)) func(t *testing.T, dir, out string) []string {
	return func(t *testing.T, dir, out string) []string {
		m := filepath.Join(dir, "model")
		if err := os.CopyFS(m, os.DirFS(world.Model)); err != nil {
			t.Fatal(err)
		}
		f(t, m)
		return unlearnWith(out, map[string]string{"model.base": m})
	}
}

// edit replaces text in a file; from has to be there.
func edit(t *testing.T, path, from, to string) {
	t.Helper()
	s := string(read(t, path))
	if !strings.Contains(s, from) {
		t.Fatalf("%s holds no %s", path, from)
	}
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(s, from, to)), 0o644); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// The training layout, with and without its column of questions.
type (
	imageCell struct {
		Bytes []byte `parquet:"bytes,optional"`
		Path  string `parquet:"path,optional"`
	}
	bareRow struct {
		Image imageCell `parquet:"image"`
		ID    string    `parquet:"ID,optional"`
	}
	trainRow struct {
		Image    imageCell `parquet:"image"`
		ID       string    `parquet:"ID,optional"`
		Metadata string    `parquet:"metadata,optional"`
	}
)

// trainRows are the rows of the small world's training set of that name, for the test to
// change.
func trainRows(t *testing.T, set string) []trainRow {
	t.Helper()
	sets, err := allTrainRows()
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(sets[set])
}

// allTrainRows reads the sets of brokenForget once.
var allTrainRows = sync.OnceValues(func() (map[string][]trainRow, error) {
	b, err := formats.Open(world.Data)
	if err != nil {
		return nil, err
	}
	sets := map[string][]trainRow{}
	for _, set := range trainSets {
		people, err := b.Training(set)
		if err != nil {
			return nil, err
		}
		for _, p := range people {
			var pairs []map[string]string
			for _, q := range p.Train {
				pairs = append(pairs, map[string]string{"Question": q.Question, "Answer": q.Answer})
			}
			meta, err := json.Marshal(pairs)
			if err != nil {
				return nil, err
			}
			for _, img := range p.Images {
				sets[set] = append(sets[set], trainRow{imageCell{img.Bytes, img.Path}, p.ID, string(meta)})
			}
		}
	}
	return sets, nil
})

var trainSets = []string{"forget_20", "retain_80"}

// spoilPictures cuts the pictures of a file of the evaluation short, and leaves
// the rest as it is.
func spoilPictures(t *testing.T, file string) {
	t.Helper()
	raw := read(t, file)
	f, err := parquet.OpenFile(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	column, ok := f.Schema().Lookup("images", "list", "element", "bytes")
	if !ok {
		t.Fatalf("%s has no column of pictures", file)
	}
	var out bytes.Buffer
	w := parquet.NewGenericWriter[any](&out, f.Schema())
	for _, g := range f.RowGroups() {
		rows := g.Rows()
		buf := make([]parquet.Row, g.NumRows())
		if n, err := rows.ReadRows(buf); n < len(buf) {
			t.Fatal(err)
		}
		for _, r := range buf {
			for i, v := range r {
				if v.Column() == column.ColumnIndex {
					r[i] = parquet.ByteArrayValue(v.ByteArray()[:80]).Level(v.RepetitionLevel(), v.DefinitionLevel(), v.Column())
				}
			}
		}
		if _, err := w.WriteRows(buf); err != nil {
			t.Fatal(err)
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// brokenForget is unlearning with a forget set that f writes.
func brokenForget(f func(t *testing.T, file string, rows []trainRow)) func(t *testing.T, dir, out string) []string {
	return func(t *testing.T, dir, out string) []string {
		for _, set := range trainSets {
			file := filepath.Join(dir, "data", set, "train-00000-of-00001.parquet")
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if rows := trainRows(t, set); set == "forget_20" {
				f(t, file, rows)
			} else {
				writeRows(t, file, rows)
			}
		}
		return unlearnWith(out, map[string]string{"data.dir": filepath.Join(dir, "data")})
	}
}

func writeRows[T any](t *testing.T, file string, rows []T) {
	t.Helper()
	if err := parquet.WriteFile(file, rows); err != nil {
		t.Fatal(err)
	}
}

// with is the small world with flags on top.
func with(more ...string) func(t *testing.T, dir, out string) []string {
	return func(t *testing.T, dir, out string) []string { return append(unlearnWith(out, nil), more...) }
}

// hubModel unlearns from a model by its name, with one variable set.
func hubModel(name, value string) func(t *testing.T, dir, out string) []string {
	return func(t *testing.T, dir, out string) []string {
		t.Setenv("HF_HOME", dir)
		t.Setenv("HF_HUB_CACHE", "")
		t.Setenv(name, value)
		return unlearnWith(out, map[string]string{"model.base": "org/none"})
	}
}

// line is a whole command line.
func line(args ...string) func(t *testing.T, dir, out string) []string {
	return func(t *testing.T, dir, out string) []string {
		return strings.Split(strings.ReplaceAll(strings.Join(args, "\x00"), "DIR", dir), "\x00")
	}
}

// textFile is a command on a file with that content.
func textFile(content string, args ...string) func(t *testing.T, dir, out string) []string {
	return func(t *testing.T, dir, out string) []string {
		if err := os.WriteFile(filepath.Join(dir, "file"), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return line(args...)(t, dir, out)
	}
}

// tokenizing is vgid tokenize on a file with that content.
func tokenizing(content string, more ...string) func(t *testing.T, dir, out string) []string {
	return func(t *testing.T, dir, out string) []string {
		return append(textFile(content, "tokenize", "--in", "DIR/file", "--model", world.Model)(t, dir, out), more...)
	}
}

var badInputs = []badInput{
	// The model's folder.
	{"an adapter as a model", func(t *testing.T, dir, out string) []string {
		textFile("{}")(t, dir, out)
		if err := os.Rename(filepath.Join(dir, "file"), filepath.Join(dir, "adapter_config.json")); err != nil {
			t.Fatal(err)
		}
		return with("--model.base", dir)(t, dir, out)
	}, []string{"holds a PEFT adapter alone", "vgid merge"}},
	{"no model folder", with("--model.base", "/nowhere/llava"), []string{"model folder /nowhere/llava", "no config.json", "give a Hugging Face folder"}},
	{"model of no hub, offline", hubModel("HF_HUB_OFFLINE", "1"), []string{"model org/none is not a folder here", "org/none@main is not in the cache", "HF_HUB_OFFLINE is set"}},
	{"hub out of reach", hubModel("HF_ENDPOINT", "http://127.0.0.1:1"), []string{"model org/none is not a folder here", "http://127.0.0.1:1 cannot be reached", "connection refused"}},
	{"hub that is none", hubModel("HF_ENDPOINT", "mirror"), []string{`HF_ENDPOINT "mirror" is not an address like https://`}},
	{"no model at all", with("--model.base", ""), []string{"model.base is empty", "give"}},
	{"unknown built-in model", with("--model.base", "builtin:big"), []string{`"builtin:big"`, quickstart.Builtin}},
	{"unknown model_type", brokenModel(func(t *testing.T, m string) { edit(t, m+"/config.json", `"llava"`, `"qwen9_vl"`) }),
		[]string{"config.json", `model_type "qwen9_vl"`, "known: llava"}},
	{"unknown text model_type", brokenModel(func(t *testing.T, m string) { edit(t, m+"/config.json", `"llama"`, `"mamba"`) }),
		[]string{"config.json", `text_config.model_type "mamba"`, "known: llama"}},
	{"half a config.json", brokenModel(func(t *testing.T, m string) { truncate(t, m+"/config.json", 100) }), []string{"config.json", "unexpected end"}},
	{"a size in words", brokenModel(func(t *testing.T, m string) { edit(t, m+"/config.json", `"hidden_size": 32`, `"hidden_size": "many"`) }),
		[]string{"config.json: ", "hidden_size: string where a whole number should stand"}},
	{"an empty tokenizer", brokenModel(func(t *testing.T, m string) { truncate(t, m+"/tokenizer.json", 0) }), []string{"tokenizer.json: empty, where JSON should stand"}},
	{"no weights", brokenModel(func(t *testing.T, m string) { remove(t, m+"/model.safetensors") }),
		[]string{"model: neither model.safetensors nor model.safetensors.index.json found", "give the folder"}},
	{"half the weights", brokenModel(func(t *testing.T, m string) { truncate(t, m+"/model.safetensors", 100000) }),
		[]string{"model.safetensors: truncated: tensor", "the file has", "fetch or write the file again"}},
	{"a few bytes of weights", brokenModel(func(t *testing.T, m string) { truncate(t, m+"/model.safetensors", 4) }),
		[]string{"model.safetensors: truncated", "found 4 bytes", "fetch or write the file again"}},
	{"weights of another config", brokenModel(func(t *testing.T, m string) { edit(t, m+"/config.json", `"hidden_size": 32`, `"hidden_size": 64`) }),
		[]string{"model: tensor ", "has shape [", "config.json asks for ["}},
	{"no tokenizer", brokenModel(func(t *testing.T, m string) { remove(t, m+"/tokenizer.json") }), []string{"tokenizer.json: no such file", "a model's folder holds"}},
	{"tokenizer without <image>", brokenModel(func(t *testing.T, m string) { edit(t, m+"/tokenizer.json", "<image>", "<imago>") }),
		// tokenizer_config.json still names it, so it gets an id behind all others.
		[]string{"tokenizer.json gives <image> the id", "config.json says 4", "do not belong together"}},
	{"no image processor", brokenModel(func(t *testing.T, m string) { remove(t, m+"/preprocessor_config.json") }), []string{"neither an image_processor in processor_config.json nor", "folder holds one"}},
	{"image processor of another size", brokenModel(func(t *testing.T, m string) { edit(t, m+"/preprocessor_config.json", "24", "30") }),
		[]string{"makes 30×30 images", "image_size says 24", "take the processor_config.json or preprocessor_config.json"}},

	// The benchmark.
	{"no data folder", with("--data.dir", "/nowhere/bench"), []string{"data folder /nowhere/bench: no such file", "give the folder"}},
	{"no such split", with("--data.forget", "forget_10"), []string{`no set "forget_10"`, "it holds", "forget_20"}},
	{"a split of no known form", with("--data.forget", "everybody"), []string{`data.forget: "everybody" is not forget_N`, "set data.retain"}},
	{"missing column", brokenForget(func(t *testing.T, f string, rows []trainRow) {
		var bare []bareRow
		for _, r := range rows {
			bare = append(bare, bareRow{r.Image, r.ID})
		}
		writeRows(t, f, bare)
	}), []string{"forget_20/train-00000-of-00001.parquet: column metadata", "is missing", "it holds image, ID"}},
	{"half a parquet file", brokenForget(func(t *testing.T, f string, rows []trainRow) {
		writeRows(t, f, rows)
		truncate(t, f, 1000)
	}), []string{"forget_20/train-00000-of-00001.parquet: not a readable parquet file", "fetch or build it again"}},
	{"empty forget set", brokenForget(func(t *testing.T, f string, _ []trainRow) { writeRows(t, f, []trainRow{}) }),
		[]string{"set forget_20: ", "train-00000-of-00001.parquet holds no rows", "choose another split"}},
	{"corrupt image", brokenForget(func(t *testing.T, f string, rows []trainRow) {
		for i := range rows {
			rows[i].Image.Bytes = append(slices.Clone(rows[i].Image.Bytes[:60]), make([]byte, 20)...)
		}
		writeRows(t, f, rows)
	}), []string{"forget_20/train-00000-of-00001.parquet, row ", "ID ", "corrupt png image of 80 bytes", "fetch or build the file again"}},
	{"empty image bytes", brokenForget(func(t *testing.T, f string, rows []trainRow) {
		rows[1].Image.Bytes = nil
		writeRows(t, f, rows)
	}), []string{"forget_20/train-00000-of-00001.parquet, row 1, ID ", "column image holds empty bytes and no image", "images must be stored in the file"}},
	{"metadata of other types", brokenForget(func(t *testing.T, f string, rows []trainRow) {
		rows[0].Metadata = `[{"Question": 5, "Answer": []}]`
		writeRows(t, f, rows)
	}), []string{"row 0, ID ", `column metadata: entry 0 is not {"Question": TEXT, "Answer": TEXT}`}},
	// Found before anything is trained: whole allows no stage's files.
	{"no questions to evaluate with", func(t *testing.T, dir, out string) []string {
		if err := os.CopyFS(filepath.Join(dir, "data"), os.DirFS(world.Data)); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(filepath.Join(dir, "data", "Test_Set")); err != nil {
			t.Fatal(err)
		}
		return append([]string{"run"}, flags(out, map[string]string{"data.dir": filepath.Join(dir, "data")})...)
	}, []string{`no set "Test_Set"`, "it holds "}},
	// Only the evaluation shows it, and it is found before training.
	{"corrupt image to evaluate with", func(t *testing.T, dir, out string) []string {
		if err := os.CopyFS(filepath.Join(dir, "data"), os.DirFS(world.Data)); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, "data", "Test_Set", "train-00000-of-00001.parquet")
		spoilPictures(t, file)
		return append([]string{"run"}, flags(out, map[string]string{"data.dir": filepath.Join(dir, "data")})...)
	}, []string{"Test_Set/train-00000-of-00001.parquet, row ", ", image 0: corrupt png image of 80 bytes", "fetch or build the file again"}},
	{"no image at all", brokenForget(func(t *testing.T, f string, rows []trainRow) {
		for i := range rows {
			rows[i].Image.Bytes = []byte("GIF? no")
		}
		writeRows(t, f, rows)
	}), []string{"forget_20/train-00000-of-00001.parquet, row ", "7 bytes are not a readable image", "fetch or build the file again"}},
	{"answer longer than the context", brokenForget(func(t *testing.T, f string, rows []trainRow) {
		for i := range rows {
			rows[i].Metadata = `[{"Question": "Who?", "Answer": "` + strings.Repeat("word ", 400) + `"}]`
		}
		writeRows(t, f, rows)
	}), []string{"the forget set, person ", "the model reads 256 at most (max_position_embeddings", `shorten the answer to "Who?"`}},
	{"unreadable metadata", brokenForget(func(t *testing.T, f string, rows []trainRow) {
		rows[0].Metadata = `[{"Question": `
		writeRows(t, f, rows)
	}), []string{"forget_20/train-00000-of-00001.parquet, row 0", "column metadata"}},

	// Configuration and command line.
	{"unknown key", textFile("unlearn: {alhpa: 3}\n", "unlearn", "--config", "DIR/file", "--out", "DIR/out"), []string{"file:1: ", `unknown key "alhpa" in unlearn`, `did you mean "alpha"?`}},
	{"summary of a run without one", textFile("", "summary", "DIR"), []string{"vgid summary: open ", "summary.json: no such file", "finish the run with --resume, or leave it out"}},
	{"no such config", line("unlearn", "--config", "quikstart"), []string{`config "quikstart"`, "no such file", "quickstart"}},
	{"no mapping", textFile("- a\n", "config", "show", "--config", "DIR/file"), []string{"file:1: this is no configuration", "seed: 1"}},
	{"two documents", textFile("seed: 1\n---\nseed: 2\n", "config", "show", "--config", "DIR/file"), []string{"only one document is read", "leave one"}},
	{"an alias", textFile("train: &a {steps: 3}\nunlearn: *a\n", "config", "show", "--config", "DIR/file"), []string{"file:2: aliases (*a) are not read"}},
	{"a list in a list", textFile("eval: {sets: [forget, [a]]}\n", "config", "show", "--config", "DIR/file"), []string{"file:1: eval.sets needs a list of single values"}},
	{"no set to evaluate", with("--eval.sets="), []string{"eval.sets and eval.modalities must not be empty"}},
	{"far too many threads", with("--threads", "100000"), []string{"threads: 100000 is above the greatest value 1024"}},
	{"generate on far too many threads", line("generate", "--model", "DIR", "--prompt", "a", "--threads", "100000"), []string{"generate: --threads 100000: must be at most 1024"}},
	{"generate nothing", line("generate", "--model", "DIR", "--prompt", "a", "--max-new", "0"), []string{"generate: --max-new 0: must be at least 1"}},
	{"a flag's number that is none", line("generate", "--max-new", "x"), []string{`generate: --max-new: "x" cannot be read as its value`, "vgid generate --help"}},
	{"a pattern of no form", with("--unlearn.lora.targets", "re:(["), []string{`"([" is not a regular expression`, "unterminated [] set in `([`"}},
	{"more people than there are", line("data", "build", "--out", "DIR/out", "--people", "100000000"), []string{"cannot draw 100000000 people with distinct names and faces", "ask for fewer"}},
	{"no people", line("data", "build", "--out", "DIR/out", "--people", "0"), []string{"data build: --people 0: want at least 2"}},
	{"broken YAML", textFile("unlearn: {alpha: 3\n", "config", "show", "--config", "DIR/file"), []string{"config ", "file"}},
	{"unknown flag", with("--unlearn.alhpa", "3"), []string{"unlearn: unknown flag --unlearn.alhpa", "did you mean --unlearn.alpha?"}},
	{"flag without its group", with("--lr", "3"), []string{"unknown flag --lr", "did you mean --train.optim.lr or --unlearn.optim.lr?"}},
	{"flag of no likeness", with("--qqqqqqqq"), []string{"unknown flag --qqqqqqqq", "vgid unlearn --help"}},
	{"flag without value", line("unlearn", "--seed"), []string{"flag needs an argument: --seed"}},
	{"value of the wrong kind", with("--unlearn.alpha", "three"), []string{`--unlearn.alpha: "three" is not a number`}},
	{"value out of range", with("--unlearn.noise.step", "2000"), []string{"unlearn.noise.step", "2000", "999"}},
	{"value not among the choices", with("--unlearn.mask", "some"), []string{"unlearn.mask", `"some" is not one of answer, text, all`}},
	{"argument too many", with("more"), []string{`unlearn: argument "more" is too much`, "flags only"}},
	{"unknown command", line("unlern"), []string{`unknown command "unlern"`, `did you mean "unlearn"?`}},
	{"unknown subcommand", line("train", "vanila"), []string{`unknown command "vanila"`, `did you mean "vanilla"?`}},
	{"missing flag", line("data", "build"), []string{"data build: --out is missing"}},
	{"a number that is none", line("data", "build", "--out", "DIR/out", "--people", "many"), []string{"data build: ", `"many"`, "--people"}},
	{"nobody to forget", line("data", "build", "--out", "DIR/out", "--people", "10", "--forget", "0"), []string{"forget percent 0 of 10 people", "at least one person"}},
	{"profiles without splits", line("data", "build", "--out", "DIR/out", "--profiles", "DIR/file"), []string{"--profiles and --splits go together"}},
	{"no profiles file", line("data", "build", "--out", "DIR/out", "--profiles", "DIR/none", "--splits", "DIR/none"), []string{"profiles file ", "none: no such file"}},
	{"metrics address without port", with("--metrics.addr", "127.0.0.1"), []string{`metrics.addr "127.0.0.1"`, "want host:port"}},

	{"value that is no number", with("--unlearn.optim.lr", "NaN"), []string{`--unlearn.optim.lr: "NaN" is not a number`}},
	{"moment that never decays", with("--unlearn.optim.beta2", "1"), []string{"unlearn.optim: beta1 0.9 and beta2 1", "below 1"}},
	{"run outside its folder", with("--name", "../r"), []string{`name: "../r" is not a folder below out`}},
	{"no time to wait", with("--collective.timeout", "0s"), []string{"collective.timeout: 0s", "give for example 30s"}},
	{"retain is forget", with("--data.retain", "forget_20"), []string{"data.forget and data.retain are both forget_20"}},
	{"pattern that matches nothing", with("--unlearn.lora.targets", "zzz"), []string{`pattern "zzz" matches no linear layer`}},
	{"gold model that is not there", func(t *testing.T, dir, out string) []string {
		return append([]string{"run"}, flags(out, map[string]string{"model.gold": "/nowhere/gold"})...)
	}, []string{"model folder /nowhere/gold", "give a Hugging Face folder"}},
	{"an interrupted run begun again", func(t *testing.T, dir, out string) []string {
		stopped(t, out)
		return unlearnWith(out, nil)
	}, []string{"unlearned: ", "step-0", "is of a run that was interrupted", "--resume goes on from there", "--name begins another run"}},

	// Other commands.
	{"bench on far too many threads", line("bench", "gemm", "--threads", "100000"), []string{"bench gemm: --threads 100000: must be at most 1024"}},
	{"profiles of another form", textFile("{\"ID\": 2}\n", "data", "build", "--out", "DIR/out", "--profiles", "DIR/file", "--splits", "DIR/file"), []string{"file, line 1: not {\"ID\": TEXT, \"metadata\": […]}"}},
	{"metrics on the network without a word", with("--metrics.addr", "192.0.2.1:9464"), []string{"metrics.addr 192.0.2.1:9464: ", "neither encrypted nor authenticated", "metrics.insecure_network"}},
	{"metrics on another machine's address", with("--metrics.addr", "192.0.2.1:9464", "--metrics.insecure_network"), []string{"metrics.addr: ", "192.0.2.1:9464", "give an address of this machine"}},
	{"bench of no steps", line("bench", "step", "--steps", "0"), []string{"bench step: --steps 0: must be at least 1"}},
	{"bench of no shape", line("bench", "step", "--shape", "llava"), []string{`--shape "llava": must be quickstart, llava-7b or tiny`}},
	{"bench of a step nobody knows", line("bench", "step", "--step", "sgd"), []string{`--step "sgd": must be train or vgid`}},
	{"bench of bfloat16 on the CPU", line("bench", "step", "--shape", "tiny", "--precision", "bfloat16"), []string{"bench step: --precision bfloat16 needs --device cuda"}},
	{"bench of PyTorch's adapter on the CPU", line("bench", "step", "--shape", "tiny", "--python", "python3"), []string{"bench step: --python: ", "give --device cuda"}},
	{"bench of a batch of the whole model", line("bench", "step", "--batch", "3"), []string{"bench step: --batch: is of an adapter's training"}},
	{"bench of too few tokens", line("bench", "step", "--shape", "tiny", "--tokens", "3"), []string{"bench step: ", "too few"}},
	{"bench of a shape that PyTorch has none of", line("bench", "step", "--step", "vgid", "--device", "cuda", "--python", "python3"),
		[]string{"bench step: shape quickstart has no counterpart in PyTorch for --step vgid; take llava-7b or tiny"}},
	{"bench checkpoint of no shape", line("bench", "checkpoint", "--shape", "gpt", "--out", "none"), []string{`bench checkpoint: --shape "gpt": must be llava-7b, tiny or quickstart`}},
	{"bench checkpoint of no type", func(_ *testing.T, dir, _ string) []string {
		return []string{"bench", "checkpoint", "--shape", "tiny", "--dtype", "int8", "--out", filepath.Join(dir, "m")}
	}, []string{`dtype "int8" cannot be written; use float32, bfloat16 or float16`}},
	{"bench checkpoint over a model", func(t *testing.T, dir, _ string) []string {
		must := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		must(os.Mkdir(filepath.Join(dir, "mine"), 0o755))
		must(os.WriteFile(filepath.Join(dir, "mine", "config.json"), []byte("{}"), 0o644))
		return []string{"bench", "checkpoint", "--shape", "tiny", "--out", filepath.Join(dir, "mine")}
	}, []string{"bench checkpoint: --out ", "mine: the folder exists and is not empty; choose another"}},
	{"bench memory of no model", line("bench", "memory", "--model", "/nowhere/m"), []string{"/nowhere/m"}},
	{"bench memory of no sequences", line("bench", "memory", "--model", "m", "--batch", "0"), []string{"bench memory: --batch 0: must be at least 1"}},
	{"inspect for no device", line("inspect", "--model", "m", "--device", "tpu"), []string{`inspect: --device "tpu": must be cpu or cuda`}},
	{"inspect for a card of no size", line("inspect", "--model", "m", "--device", "cuda", "--memory", "much"), []string{`inspect: --memory "much" is no size; write 80GiB`}},
	{"inspect of bfloat16 on the CPU", line("inspect", "--model", "m", "--precision", "bfloat16"), []string{"inspect: --precision bfloat16 needs --device cuda"}},
	{"inspect of the CPU as a card", line("inspect", "--model", "m", "--memory", "8GiB"), []string{"inspect: --memory is of a GPU; give --device cuda"}},
	{"bench on no threads", line("bench", "gemm", "--threads", "-1"), []string{"bench gemm: --threads -1: must be at least 1"}},
	{"bench of products with an argument", line("bench", "gemm", "json"), []string{`bench gemm: argument "json" is too much`}},
	{"bench of steps with an argument", line("bench", "step", "cuda"), []string{`bench step: argument "cuda" is too much`}},
	{"bench of collectives with an argument", line("bench", "collective", "2"), []string{`bench collective: argument "2" is too much`}},
	{"bench step on no device", line("bench", "step", "--device", "tpu"), []string{`bench step: --device "tpu": must be cpu or cuda`}},
	{"bench beside Gloo without a Python", line("bench", "collective", "--peer", "gloo"), []string{"peer gloo: no Python is named", "pip install torch", "--python"}},
	{"bench of one process", line("bench", "collective", "--procs", "1"), []string{"bench collective: 1 processes asked for, want 2"}},
	{"place of a worker by half", func(t *testing.T, dir, out string) []string {
		t.Setenv("VGID_RANK", "0")
		return unlearnWith(out, nil)
	}, []string{"VGID_WORLD_SIZE is not set", "start workers by vgid-launch only"}},
	{"score of no file", line("score", "DIR/none.jsonl"), []string{"none.jsonl: no such file"}},
	{"score without file", line("score"), []string{"score: 0 arguments given, want one"}},
	{"score of half a line", textFile("{\"prediction\":\n", "score", "DIR/file"), []string{"file:1: not valid JSON", "give {"}},
	{"score without reference", textFile("{\"prediction\": \"a\"}\n", "score", "DIR/file"), []string{`file:1: field "reference" is missing`}},
	{"merge over a folder", func(t *testing.T, dir, _ string) []string {
		if err := os.WriteFile(filepath.Join(dir, "mine"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		return []string{"merge", "--model", world.Model, "--adapter", dir, "--out", dir}
	}, []string{"vgid: --out ", ": the folder exists and is not empty; choose another"}},
	{"merge of no model", line("merge", "--model", "./nowhere", "--adapter", "DIR", "--out", "DIR/out"), []string{"folder ./nowhere does not exist, and it is no name of a model on a hub (ORG/NAME"}},
	{"tokenize without a tokenizer", line("tokenize", "--model", "DIR"), []string{"tokenizer.json: no such file", "a model's folder holds"}},
	{"tokenize no file", func(_ *testing.T, dir, _ string) []string {
		return []string{"tokenize", "--model", world.Model, "--in", dir + "/none"}
	}, []string{"none: no such file"}},
	{"tokenize without a model", line("tokenize"), []string{"tokenize: --model is missing"}},
	{"tokenize a line without quotes", tokenizing("\"a\"\nb\n"), []string{"file:2: not a JSON string", "in double quotes"}},
	{"tokenize Windows-1252", tokenizing("\"a\"\n\"K\xf6ln\"\n"), []string{"file:2: byte 3 (0xF6) is no UTF-8", "save the file as UTF-8"}},
	{"decode half a list", tokenizing("[1]\n[1,\n", "--decode"), []string{"file:2: not a JSON list of ids", "[1,2,3]"}},
	{"decode an id too large", tokenizing("[99999999]\n", "--decode"), []string{"file:1: id 99999999 has no token", "ids below"}},
	{"merge of no adapter", func(t *testing.T, dir, out string) []string {
		return []string{"merge", "--model", world.Model, "--adapter", dir, "--out", out}
	}, []string{"adapter_config.json: no such file", "give the folder of a PEFT adapter"}},
	{"merge of another base's adapter", func(t *testing.T, dir, out string) []string {
		must(t, program, append([]string{"unlearn"}, flags(dir, map[string]string{"unlearn.steps": "1"})...)...)
		other := filepath.Join(dir, "other")
		if err := quickstart.Extract(other); err != nil {
			t.Fatal(err)
		}
		return []string{"merge", "--model", other, "--adapter", filepath.Join(dir, "r", "unlearned", "adapter"), "--out", out}
	}, []string{"lora_A.weight", "has shape [4 32]", "an adapter fits the model it was trained on"}},
	{"merge to an unknown type", func(t *testing.T, dir, out string) []string {
		must(t, program, append([]string{"unlearn"}, flags(dir, map[string]string{"unlearn.steps": "1"})...)...)
		return []string{"merge", "--model", world.Model, "--adapter", filepath.Join(dir, "r", "unlearned", "adapter"), "--out", out, "--dtype", "float8"}
	}, []string{`dtype "float8"`, "use float32, bfloat16 or float16"}},

	// The machine.
	{"occupied port", func(t *testing.T, dir, out string) []string {
		return append(unlearnWith(out, nil), "--metrics.addr", occupied(t))
	}, []string{"metrics.addr: 127.0.0.1:", "is taken by another process", "choose another port, or 0"}},
	{"run folder is a file", func(t *testing.T, dir, out string) []string {
		if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		return unlearnWith(filepath.Join(dir, "file"), nil)
	}, []string{"run folder: ", "file: not a directory", "--out"}},
	{"read-only folder", func(t *testing.T, dir, out string) []string {
		locked := filepath.Join(dir, "locked")
		if err := os.Mkdir(locked, 0o555); err != nil {
			t.Fatal(err)
		}
		if os.Geteuid() == 0 { // whom permissions do not stop
			mount(t, locked, unix.MS_RDONLY, "size=1m")
		}
		return unlearnWith(locked, nil)
	}, []string{"run folder: ", "locked", "--out"}},
	{"full disk", func(t *testing.T, dir, out string) []string {
		full := filepath.Join(dir, "out")
		if err := os.Mkdir(full, 0o755); err != nil {
			t.Fatal(err)
		}
		mount(t, full, 0, "size=400k") // the model takes more
		return unlearnWith(full, nil)
	}, []string{"model.safetensors", "no space left on device", "free some space"}},
}

// stopped leaves a run as SIGTERM does, and gives its checkpoint.
func stopped(t *testing.T, out string) string {
	t.Helper()
	p := start(t, nil, program, unlearnWith(out, long)...)
	checkpointed(t, p, out)
	if err := p.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.wait()
	m, err := filepath.Glob(filepath.Join(out, "r", "unlearned", "checkpoint", "step-*.safetensors"))
	if err != nil || len(m) != 1 {
		t.Fatalf("checkpoints %v, %v", m, err)
	}
	return m[0]
}

// mount makes a file system in memory; without the right to, the test cannot
// be made.
func mount(t *testing.T, dir string, how uintptr, options string) {
	t.Helper()
	err := unix.Mount("tmpfs", dir, "tmpfs", how, options)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENODEV) {
		t.Skip("NOT TESTED: mounting a small file system takes root")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
}

// neighbours are two addresses, one port after the other, of which this process
// has the second. They lie where the kernel gives no ports away by itself, for the
// first has to be free still when it is needed.
func neighbours(t *testing.T) (free, taken string) {
	t.Helper()
	for port := 20000; port < 30000; port += 2 {
		free, taken = fmt.Sprintf("127.0.0.1:%d", port), fmt.Sprintf("127.0.0.1:%d", port+1)
		first, err := net.Listen("tcp", free)
		if err != nil {
			continue
		}
		second, err := net.Listen("tcp", taken)
		if first.Close(); err != nil {
			continue
		}
		t.Cleanup(func() { second.Close() })
		return free, taken
	}
	t.Fatal("no two free ports from 20000 to 30000")
	return "", ""
}

// occupied is an address on which this process listens.
func occupied(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// whole are the files that a run which failed may leave: each is written in
// one piece and says what was asked for and how far it came.
var whole = regexp.MustCompile(`^r/(config\.yaml|unlearned/(history|timing)\.jsonl|unlearned/adapter/adapter_(config\.json|model\.safetensors)|unlearned/checkpoint/step-\d+\.safetensors)$`)

func TestBadInput(t *testing.T) {
	for _, bad := range badInputs {
		t.Run(bad.name, func(t *testing.T) {
			dir := t.TempDir()
			out := filepath.Join(dir, "out")
			p := toEnd(t, program, bad.args(t, dir, out)...)
			got := p.err.String()
			t.Logf("prints %s", got)
			if code := p.wait(); code != 1 {
				t.Errorf("exit code %d", code)
			}
			if !strings.HasPrefix(got, "vgid: ") || strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, "\n") {
				t.Errorf("not one line: %q", got)
			}
			for _, want := range bad.want {
				if !strings.Contains(got, want) {
					t.Errorf("%q does not say %q", got, want)
				}
			}
			if n := strings.Count(p.out.String(), "\n"); n > 3 {
				t.Errorf("%d lines on standard output:\n%s", n, p.out.String())
			}
			noTrace(t, p)
			for _, f := range files(t, out) {
				if !whole.MatchString(f) {
					t.Errorf("left behind: %s", f)
				}
			}
		})
	}
}

func truncate(t *testing.T, path string, size int64) {
	t.Helper()
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}
