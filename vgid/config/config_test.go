package config

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestShowReadsBack(t *testing.T) {
	for _, docs := range []bool{false, true} {
		c, err := Load("quickstart", map[string]string{"unlearn.alpha": "2.5", "eval.sets": "forget, test"})
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := c.WriteYAML(&b, docs); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		back, err := Load(file, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(c, back) {
			t.Errorf("docs=%v: what is shown does not read back to the same configuration:\n%s", docs, b.String())
		}
		if c.Unlearn.Alpha != 2.5 || len(c.Eval.Sets) != 2 {
			t.Errorf("overrides lost: %+v", c)
		}
	}
}

// YAML 1.1, which PyYAML reads, takes a number with an exponent for a text
// unless it has a point and the exponent a sign.
func TestNumbersAreNumbersToOtherReaders(t *testing.T) {
	c := Default()
	for v, want := range map[float64]string{2e-05: "2.0e-05", 1.5e-07: "1.5e-07", 3e+21: "3.0e+21", 0.001: "0.001", 1: "1"} {
		c.Train.Optim.LR = v
		var b bytes.Buffer
		if err := c.WriteYAML(&b, false); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(b.String(), "    lr: "+want+"\n") {
			t.Errorf("%g is not written as %s", v, want)
		}
	}
}

func TestEveryFieldHasItsWords(t *testing.T) {
	for _, f := range Fields() {
		if f.Doc == "" {
			t.Errorf("%s has no doc tag", f.Path)
		}
		c := Default()
		if err := c.Set(f.Path, strings.Trim(f.Default, `"[]`)); err != nil {
			t.Errorf("%s cannot be set to its own default %s: %v", f.Path, f.Default, err)
		}
	}
}

func TestBuiltinsLoad(t *testing.T) {
	for _, name := range Builtins() {
		if _, err := Load(name, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, tc := range []struct{ yaml, path, value, want string }{
		{yaml: "unlearn:\n  aplha: 2\n", want: `:2: unknown key "aplha" in unlearn; did you mean "alpha"?`},
		{yaml: "sead: 1\n", want: `:1: unknown key "sead" at the top level; did you mean "seed"?`},
		{yaml: "unlearn: 3\n", want: "unlearn needs fields below it"},
		{yaml: "eval:\n  sets: forget\n", want: "eval.sets needs a list"},
		{yaml: "train:\n  steps: many\n", want: `train.steps: "many" is not a whole number`},
		{yaml: "train:\n  steps: -1\n", want: "train.steps: -1 is below the least value 0"},
		{yaml: "unlearn:\n  noise:\n    step: 1000\n", want: "above the greatest value 999"},
		{yaml: "device: cudaa\n", want: `device: "cudaa" is not one of`},
		{yaml: "precision: bf16\n", want: `precision: "bf16" is not one of`},
		{yaml: "precision: bfloat16\n", want: "precision: bfloat16 needs device: cuda"},
		{yaml: "eval:\n  sets: [forget, tset]\n", want: `"tset" is not one of`},
		{yaml: "name: metrics\n", want: "the folder metrics lists where the metrics of all runs are"},
		{yaml: "name: ./metrics/x\n", want: "the folder metrics lists"},
		{yaml: "name: null\n", want: ":1: name is null, which is no value"},
		{yaml: "data:\n  dir: ~\n", want: ":2: data.dir is null"},
		{yaml: "eval:\n  sets: [forget, null]\n", want: "eval.sets needs a list of single values"},
		{yaml: "eval:\n  sets: [forget, test, forget]\n", want: `eval.sets: "forget" stands in it twice`},
		{yaml: "a: [", want: "config "},
		{yaml: "seed: 1\nname: x\nseed: 2\n", want: `:3: key "seed" stands here for the second time`},
		{yaml: "train:\n  optim:\n    lr: .nan\n", want: `train.optim.lr: ".nan" is not a number`},
		{path: "unlearn.temperature", value: "Inf", want: `"Inf" is not a number`},
		{path: "train.optim.beta1", value: "1", want: "train.optim: beta1 1 and beta2 0.999 must be below 1"},
		{path: "train.text_only", value: "3", want: "above the greatest value 1"},
		{path: "name", value: "../elsewhere", want: "is not a folder below out"},
		{path: "name", value: "", want: "is not a folder below out"},
		{path: "out", value: "", want: "out is empty"},
		{path: "collective.timeout", value: "-1s", want: "is no time to wait"},
		{path: "data.retain", value: "forget_5", want: "both forget_5"},
		{path: "unlearn.noise.knid", value: "none", want: `unlearn.noise.knid: no such field; did you mean "kind"?`},
		{path: "unlearn.noise", value: "none", want: "is a group of fields"},
		{path: "collective.timeout", value: "5", want: "not a duration"},
		{path: "data.profiles", value: "x", want: "belong together"},
		{path: "prompt.template", value: "USER: {prompt}", want: "needs both <image> and {prompt}"},
	} {
		file, over := "", map[string]string{}
		if tc.yaml != "" {
			file = filepath.Join(t.TempDir(), "c.yaml")
			if err := os.WriteFile(file, []byte(tc.yaml), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if tc.path != "" {
			over[tc.path] = tc.value
		}
		_, err := Load(file, over)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q %q: got %v, want %q", tc.yaml, tc.path, err, tc.want)
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("more than one line: %q", err)
		}
	}
}

func TestPresetYieldsToExplicitValues(t *testing.T) {
	c, err := Load("", map[string]string{"unlearn.preset": "release", "unlearn.mask": "answer"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Unlearn.Mask != "answer" || !c.Unlearn.Alternate || c.Unlearn.Instruction.Use != "never" {
		t.Errorf("preset release with mask=answer gave %+v", c.Unlearn)
	}
}

func TestDigestIgnoresWhatWorkersMayDifferIn(t *testing.T) {
	a, b := Default(), Default()
	b.Threads, b.Metrics.Addr = 7, "x:1"
	if a.Digest() != b.Digest() {
		t.Error("threads and metrics address change the digest")
	}
	b.Unlearn.Alpha = 3
	if a.Digest() == b.Digest() {
		t.Error("alpha does not change the digest")
	}
}

func TestStagesDependOnTheirOwnSettings(t *testing.T) {
	for _, c := range []struct {
		change  func(*Config)
		affects string // the stages whose outcome changes
	}{
		{func(c *Config) { c.Eval.MaxNew++ }, "teacher eval-vanilla"},
		{func(c *Config) { c.Data.EvalPeople++ }, "teacher eval-vanilla"},
		{func(c *Config) { c.Unlearn.Alpha++ }, "unlearned"},
		{func(c *Config) { c.Unlearn.Noise.Step++ }, "teacher unlearned"},
		{func(c *Config) { c.Unlearn.Instruction.Take++ }, "teacher unlearned"},
		{func(c *Config) { c.Train.Steps++ }, "vanilla"},
		{func(c *Config) { c.Data.People++ }, "data"},
		{func(c *Config) { c.Data.ImageSize++ }, "data vanilla teacher unlearned eval-vanilla"},
		{func(c *Config) { c.Data.Forget = "forget_77" }, "data vanilla teacher unlearned eval-vanilla"},
		{func(c *Config) { c.Seed++ }, "data vanilla teacher unlearned eval-vanilla"},
		// Where something is, and what no result depends on.
		{func(c *Config) { c.Name, c.Out = "other", "elsewhere" }, ""},
		{func(c *Config) { c.Data.Dir, c.Data.Profiles, c.Data.Splits = "a", "b", "c" }, ""},
		{func(c *Config) { c.Model.Base, c.Model.Vanilla, c.Model.Gold = "a", "b", "c" }, ""},
		{func(c *Config) { c.Unlearn.Instruction.File = "a" }, ""},
		{func(c *Config) { c.Checkpoint.Every++ }, ""},
		{func(c *Config) { c.Collective.Timeout++ }, ""},
		{func(c *Config) { c.Collective.Wire = "bfloat16" }, "vanilla teacher unlearned eval-vanilla"},
		{func(c *Config) { c.Collective.Algorithm = "ring" }, "vanilla teacher unlearned eval-vanilla"},
		{func(c *Config) { c.Collective.Transport = "grpc-stock" }, ""},
		{func(c *Config) { c.Collective.TLS = TLS{"a", "b", "c"} }, ""},
	} {
		a, b := Default(), Default()
		c.change(&b)
		var affected []string
		for _, stage := range []string{"data", "vanilla", "teacher", "unlearned", "eval-vanilla"} {
			if a.For(stage).Digest() != b.For(stage).Digest() {
				affected = append(affected, stage)
			}
		}
		if got := strings.Join(affected, " "); got != c.affects {
			t.Errorf("a change affects %q, want %q", got, c.affects)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte("seed: 1\nunlearn: {alpha: 2}\n"))
	f.Add([]byte("eval:\n  sets: [forget]\n"))
	f.Add([]byte("? {a: b}\n: c\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		doc, err := parse(raw, "fuzz")
		if err != nil || doc == nil {
			return
		}
		c := Default()
		if err := assign(reflect.ValueOf(&c).Elem(), doc, "", "fuzz"); err == nil {
			_ = c.Validate()
		}
	})
}

// Flags that are lists take what the file takes; an expression is one value.
func TestListsOnTheCommandLine(t *testing.T) {
	for in, want := range map[string][]string{
		"":                      {},
		"a":                     {"a"},
		" a, b ,,c,":            {"a", "b", "c"},
		`re:l\.\d{1,2}\.(q|v)`:  {`re:l\.\d{1,2}\.(q|v)`},
		"re:[^,]{1,}":           {"re:[^,]{1,}"},
		"a, re:b{1,2},c":        {"a", "re:b{1,2},c"}, // refused later: an expression stands alone
		"[a, b]":                {"a", "b"},
		`['re:x{1,2}', "b,c"]`:  {"re:x{1,2}", "b,c"},
		"[]":                    {},
		"model.layers.*.q_proj": {"model.layers.*.q_proj"},
	} {
		got, err := SplitList(in)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"[a", "[[a]]", "[a: b]"} {
		if got, err := SplitList(in); err == nil {
			t.Errorf("%q: %q", in, got)
		}
	}
	for _, f := range Fields() {
		if f.List != strings.HasPrefix(f.Default, "[") {
			t.Errorf("%s: %+v", f.Path, f)
		}
	}
}

// What a configuration prints of a list, a flag takes.
func TestListsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOf(rapid.StringMatching(`[ -~]{1,12}`)).Draw(t, "list")
		var c Config
		v := reflect.ValueOf(list)
		if err := c.Set("train.lora.targets", format(v)); err != nil || !slices.Equal(c.Train.LoRA.Targets, list) {
			t.Fatalf("%s: %q, %v", format(v), c.Train.LoRA.Targets, err)
		}
	})
}
