//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"vgid/eval/formats"
	"vgid/eval/mllmu"
)

func TestConfigShowRoundTrip(t *testing.T) {
	first := must(t, program, "config", "show", "--config", "quickstart", "--unlearn.noise.kind", "diffusion", "--train.text_only", "-1", "--unlearn.lora.targets", "q_proj,v_proj")
	file := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte(first), 0o644); err != nil {
		t.Fatal(err)
	}
	if second := must(t, program, "config", "show", "--config", file); second != first {
		t.Errorf("shown again, the configuration is\n%s\nnot\n%s", second, first)
	}
	for _, want := range []string{"name: \"quickstart\"\n", "kind: \"diffusion\"\n", "targets: [\"q_proj\", \"v_proj\"]\n"} {
		if !strings.Contains(first, want) {
			t.Errorf("%q is not in what is shown", want)
		}
	}
	if short := must(t, program, "config", "show", "--preset", "release"); !strings.Contains(short, "mask: \"all\"\n") {
		t.Error("--preset does not stand for --unlearn.preset")
	}
}

func TestBooleanFlags(t *testing.T) {
	for given, want := range map[string][2]bool{
		"":                                      {false, false},
		"--resume":                              {true, false},
		"--resume --train.recompute":            {true, true},
		"--train.recompute --seed 3":            {false, true},
		"--resume false --train.recompute true": {false, true},
		"--resume=false --train.recompute=true": {false, true},
	} {
		shown := must(t, program, append([]string{"config", "show"}, strings.Fields(given)...)...)
		train := shown[strings.Index(shown, "\ntrain:"):strings.Index(shown, "\nunlearn:")]
		for i, line := range []string{"\nresume: %t\n", "\n  recompute: %t\n"} {
			if line = fmt.Sprintf(line, want[i]); !strings.Contains([]string{shown, train}[i], line) {
				t.Errorf("%q: %q is not in\n%s", given, line, shown)
			}
		}
	}
	// A flag of one name is boolean in every command, or in none.
	kinds := flagKinds(app().Commands)
	var check func(cmds []*cli.Command)
	check = func(cmds []*cli.Command) {
		for _, c := range cmds {
			for name, boolean := range flagKinds([]*cli.Command{c}) {
				if kinds[name] != boolean {
					t.Errorf("%s --%s: boolean is %t, elsewhere %t", c.Name, name, boolean, kinds[name])
				}
			}
			check(c.Subcommands)
		}
	}
	check(app().Commands)
}

func TestScore(t *testing.T) {
	file := filepath.Join(t.TempDir(), "s.jsonl")
	lines := `{"prediction": "the cat sat", "reference": "the cat sat"}
{"prediction": "a dog", "reference": "the cat sat"}
`
	if err := os.WriteFile(file, []byte(lines), 0o644); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Count          int
		Rouge1, RougeL struct{ F float64 }
	}
	if err := json.Unmarshal([]byte(must(t, program, "score", file)), &got); err != nil {
		t.Fatal(err)
	}
	if got.Count != 2 || got.Rouge1.F != 0.5 || got.RougeL.F != 0.5 { // the means of 1 and 0
		t.Errorf("scores %+v", got)
	}
	// Help names what is printed, whatever that is.
	var keys map[string]any
	if err := json.Unmarshal([]byte(must(t, program, "score", file)), &keys); err != nil {
		t.Fatal(err)
	}
	help := must(t, program, "score", "--help")
	for k := range keys {
		if k != "count" && !strings.Contains(help, k) {
			t.Errorf("%s is not in\n%s", k, help)
		}
	}
}

// What vgid merge makes of base and adapter is what vgid unlearn wrote.
func TestMergeEqualsUnlearned(t *testing.T) {
	out := t.TempDir()
	must(t, program, append([]string{"unlearn"}, flags(out, nil)...)...)
	stage, merged := filepath.Join(out, "r", "unlearned"), filepath.Join(out, "merged")
	must(t, program, "merge", "--model", world.Model, "--adapter", filepath.Join(stage, "adapter"), "--out", merged)
	want, got := files(t, filepath.Join(stage, "model")), files(t, merged)
	if !slices.Equal(want, got) {
		t.Fatalf("merge wrote %v, unlearn %v", got, want)
	}
	for _, f := range got {
		if string(read(t, merged, f)) != string(read(t, stage, "model", f)) {
			t.Errorf("%s differs", f)
		}
	}
	if string(read(t, merged, "model.safetensors")) == string(read(t, world.Model, "model.safetensors")) {
		t.Error("the merged weights are the base's")
	}
}

func TestDataBuild(t *testing.T) {
	dir := t.TempDir()
	profiles, splits := filepath.Join(dir, "p.jsonl"), filepath.Join(dir, "s.json")
	var b strings.Builder
	for _, p := range []struct{ id, name, job, city string }{
		{"001", "Ada Brook", "baker", "Lisbon"}, {"002", "Ben Stone", "pilot", "Oslo"}, {"003", "Cleo Marsh", "nurse", "Turin"},
		{"004", "Dan Field", "miner", "Split"}, {"005", "Eve Wood", "judge", "Ghent"},
	} {
		pairs := []map[string]string{
			{"Question": "What is the name of this person?", "Answer": "The person's name is " + p.name + "."},
			{"Question": "What does " + p.name + " do for a living?", "Answer": p.name + " works as a " + p.job + "."},
			{"Question": "Where does " + p.name + " live?", "Answer": p.name + " lives in " + p.city + "."},
		}
		line, err := json.Marshal(map[string]any{"ID": p.id, "metadata": pairs})
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(line, '\n'))
	}
	for path, text := range map[string]string{profiles: b.String(), splits: `{"forget_20": ["002"], "retain_80": ["001", "003", "004", "005"]}`} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, args := range map[string][]string{
		"fictitious": {"--people", "5", "--forget", "20"},
		"profiles":   {"--profiles", profiles, "--splits", splits},
	} {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(dir, name)
			args := append([]string{"data", "build", "--out", out, "--views", "2", "--celebrities", "3", "--image-size", "32", "--seed", "4"}, args...)
			table := must(t, program, args...)
			b, err := formats.Open(out)
			if err != nil {
				t.Fatal(err)
			}
			for set, people := range map[string]int{"forget_20": 1, "retain_80": 4, mllmu.TrainSet: 5} {
				got, err := b.Training(set)
				if err != nil || len(got) != people {
					t.Errorf("%s: %d people, %v, want %d", set, len(got), err, people)
				}
			}
			for _, set := range []string{mllmu.FullSet, mllmu.TestSet, mllmu.RetainSet} {
				if got, err := b.Evaluation(set); err != nil || len(got) == 0 || len(got[0].Eval) == 0 {
					t.Errorf("%s: no questions, %v", set, err)
				}
				if !strings.Contains(table, set) {
					t.Errorf("the printed table does not name %s:\n%s", set, table)
				}
			}
			// What was built is what a run can use.
			must(t, program, append([]string{"unlearn"}, flags(t.TempDir(), map[string]string{"data.dir": out, "unlearn.steps": "1"})...)...)
		})
	}
}

// The whole job on two nodes: while it runs both workers answer a scraper, and
// at the end its files are there.
func TestRunOnTwoWorkers(t *testing.T) {
	out := t.TempDir()
	p := launched(t, nil, append([]string{"run"}, flags(out, map[string]string{"train.steps": "12", "unlearn.steps": "4", "metrics.addr": "127.0.0.1:0", "eval.prompts": "mllmu", "data.eval_people": "1"})...)...)
	var groups []struct {
		Targets []string
		Labels  map[string]string
	}
	lists := []string{filepath.Join(out, "metrics", "r.json"), filepath.Join(out, "r", "metrics.json")}
	for _, list := range lists {
		eventually(t, p, list, func() bool {
			raw, err := os.ReadFile(list)
			return err == nil && json.Unmarshal(raw, &groups) == nil
		})
	}
	if len(groups) != 1 || len(groups[0].Targets) != 2 || groups[0].Labels["run"] != "r" {
		t.Fatalf("metrics.json holds %+v", groups)
	}
	for rank, addr := range groups[0].Targets {
		want := []string{
			`vgid_world_size{rank="` + string(rune('0'+rank)) + `"} 2`,
			`vgid_steps_total{rank="` + string(rune('0'+rank)) + `",stage="vanilla"}`,
			`vgid_steps_planned{rank="` + string(rune('0'+rank)) + `",stage="vanilla"} 12`, `vgid_info{device="`, `vgid_step_duration_seconds_bucket{`,
			`vgid_step_seconds_total{phase="backward",rank="`, `vgid_loss{`, `vgid_sent_bytes_total{`,
		}
		// All of them: a scraper may come in the middle of a step's record.
		eventually(t, p, strings.Join(want, ", ")+" in the metrics of "+addr, func() bool {
			resp, err := http.Get("http://" + addr + "/metrics")
			if err != nil {
				t.Fatalf("rank %d: %v\n%s", rank, err, p.err.String())
			}
			defer resp.Body.Close()
			raw, err := io.ReadAll(resp.Body)
			missing := func(w string) bool { return !strings.Contains(string(raw), w) }
			return err == nil && !slices.ContainsFunc(want, missing)
		})
	}
	if code := p.wait(); code != 0 {
		t.Fatalf("exit code %d\n%s", code, p.err.String())
	}
	p.nothingLeft(t)
	for _, list := range lists {
		if _, err := os.Stat(list); err == nil {
			t.Errorf("%s lists workers that have ended", list)
		}
	}
	if got := must(t, program, "summary", filepath.Join(out, "metrics"), filepath.Join(out, "r")); !strings.Contains(got, "forget") {
		t.Errorf("the summary of all folders: %s", got)
	}
	got := files(t, filepath.Join(out, "r"))
	for _, f := range []string{
		"config.yaml", "summary.json", "report.html", "teacher.json", "unlearned/adapter/adapter_config.json",
		"vanilla/model/model.safetensors", "gold/model/model.safetensors", "unlearned/model/model.safetensors",
		"vanilla/answers.jsonl", "gold/answers.jsonl", "unlearned/answers.jsonl", "unlearned/history.jsonl",
	} {
		if !slices.Contains(got, f) {
			t.Errorf("%s is missing", f)
		}
	}
	for _, f := range got {
		if strings.HasPrefix(filepath.Base(f), ".") {
			t.Errorf("%s was left behind", f)
		}
	}
	var sum struct {
		Models map[string]map[string]map[string]map[string]float64
	}
	if err := json.Unmarshal(read(t, out, "r", "summary.json"), &sum); err != nil || len(sum.Models["unlearned"]["forget"]["image_text"]) == 0 {
		t.Errorf("summary.json: %v, %+v", err, sum)
	}
	if !strings.Contains(p.out.String(), "[0] ") {
		t.Error("the output of rank 0 has no prefix")
	}
}

// Ids and texts go there and back, in order, over more than one chunk of lines.
func TestTokenize(t *testing.T) {
	dir := t.TempDir()
	var texts strings.Builder
	for i := range 10000 {
		b, err := json.Marshal(fmt.Sprintf("the person number %d is\n\"here\" <image>", i))
		if err != nil {
			t.Fatal(err)
		}
		texts.Write(append(b, '\n'))
	}
	in, ids := filepath.Join(dir, "texts"), filepath.Join(dir, "ids")
	if err := os.WriteFile(in, []byte(texts.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	encoded := must(t, program, "tokenize", "--model", world.Model, "--in", in, "--no-special")
	if n := strings.Count(encoded, "\n"); n != 10000 || !strings.HasPrefix(encoded, "[") {
		t.Fatalf("%d lines of ids, the first %.40q", n, encoded)
	}
	if err := os.WriteFile(ids, []byte(encoded), 0o644); err != nil {
		t.Fatal(err)
	}
	want := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(texts.String())
	if got := must(t, program, "tokenize", "--model", world.Model, "--in", ids, "--decode"); got != want {
		t.Errorf("decoded, the texts differ: %.200q", got)
	}
	if got := must(t, program, "tokenize", "--model", world.Model, "--in", ids, "--decode", "--no-special"); strings.Contains(got, "<image>") {
		t.Error("--no-special leaves special tokens in")
	}
}
