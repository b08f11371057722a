//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// asking writes lines as a file of prompts and gives the flags that have it
// answered into the second path.
func asking(t *testing.T, lines ...string) (args []string, out string) {
	t.Helper()
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.jsonl"), filepath.Join(dir, "out.jsonl")
	if err := os.WriteFile(in, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	return []string{"generate", "--model", world.Model, "--threads", "1", "--in", in, "--out", out}, out
}

// The field of a line's own truth is not the model's: it is refused, or beside it.
func TestOwnFieldsStay(t *testing.T) {
	line := `{"prompt": "USER: Where was she born?\nASSISTANT:", "answer": "Lisbon", "reference": "Lisbon", "n": 1e400, "ü": [null]}`
	args, out := asking(t, line)
	p := toEnd(t, program, args...)
	if code, said := p.wait(), p.err.String(); code != 1 || !strings.Contains(said, "in.jsonl, line 1: it has a field answer of its own: choose another name for the model's answer with --field") {
		t.Errorf("exit code %d, %q", code, said)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("something was written")
	}
	must(t, program, append(args, "--field", "prediction", "--max-new", "4")...)
	var got map[string]json.RawMessage
	if err := json.Unmarshal(read(t, out), &got); err != nil {
		t.Fatal(err)
	}
	if string(got["answer"]) != `"Lisbon"` || string(got["n"]) != "1e400" || len(got["prediction"]) == 0 || len(got) != 6 {
		t.Errorf("%s", read(t, out))
	}
	if said := must(t, program, "score", out); !strings.Contains(said, `"count": 1`) {
		t.Errorf("score: %s", said)
	}
}

// A line that cannot be answered is known before the first answer, and costs none of
// the others.
func TestBadLinesAreLeftOut(t *testing.T) {
	good, damaged := picture(t, 30, 40), filepath.Join(t.TempDir(), "half.png")
	if err := os.WriteFile(damaged, read(t, good)[:60], 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ line, want string }{
		"no picture":     {`{"prompt": "<image> Who?", "images": ["missing.png"]}`, "missing.png: no such file"},
		"half a picture": {fmt.Sprintf(`{"prompt": "<image> Who?", "images": [%q]}`, damaged), "half.png: corrupt "},
		"a mark more":    {fmt.Sprintf(`{"prompt": "<image><image> Who?", "images": [%q]}`, good), "more marks <image> than its 1 images"},
		"a mark less":    {fmt.Sprintf(`{"prompt": "Who?", "images": [%q]}`, good), "of 1 images only 0 have a mark"},
		"too long":       {fmt.Sprintf(`{"prompt": %q}`, strings.Repeat("who ", 300)), "the model reads 256 at most"},
		"no JSON":        {`{"prompt": "Who?`, "each line is"},
		"no prompt":      {`{"text": "Who?"}`, "prompt is missing"},
		"a number":       {`{"prompt": 7}`, "prompt"},
		"image":          {`{"prompt": "Who?", "image": "face.png"}`, "it has a field image, which would not be seen: name its files in images"},
	} {
		t.Run(name, func(t *testing.T) {
			args, out := asking(t, `{"prompt": "Who?", "id": 1}`, c.line, fmt.Sprintf(`{"prompt": "<image> Who?", "images": [%q], "id": 3}`, good))
			p := toEnd(t, program, append(args, "--max-new", "3")...)
			code, said := p.wait(), p.err.String()
			if code != 1 || strings.Count(said, "\n") != 1 || !strings.Contains(said, "1 of 3 lines could not be answered, the first: "+filepath.Dir(out)+"/in.jsonl, line 2: ") || !strings.Contains(said, c.want) {
				t.Errorf("exit code %d, %q", code, said)
			}
			if !strings.Contains(p.out.String(), "1 of 3 lines will be left out: ") {
				t.Errorf("not told before: %q", p.out.String())
			}
			got := strings.Split(strings.TrimSpace(string(read(t, out))), "\n")
			if len(got) != 2 || !strings.Contains(got[0], `"id":1`) || !strings.Contains(got[1], `"id":3`) || !strings.Contains(got[1], `"<image> Who?"`) {
				t.Errorf("answers %q", got)
			}
		})
	}
	args, out := asking(t, `{"prompt": "<image>"}`, `[]`)
	p := toEnd(t, program, args...)
	if code, said := p.wait(), p.err.String(); code != 1 || !strings.Contains(said, "none of the 2 lines can be answered: ") {
		t.Errorf("exit code %d, %q", code, said)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("something was written")
	}
}

// The file of prompts is never written to, by whatever name, and an empty one is no
// success.
func TestPromptsStay(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: runs of whole processes")
	}
	args, out := asking(t, `{"prompt": "Who?"}`, `[]`)
	in := filepath.Join(filepath.Dir(out), "in.jsonl")
	before := string(read(t, in))
	for name, link := range map[string]func(string, string) error{"link": os.Symlink, "name": os.Link} {
		t.Run("another "+name, func(t *testing.T) {
			if err := link(in, out); err != nil {
				t.Fatal(err)
			}
			p := toEnd(t, program, args...)
			if code, said := p.wait(), p.err.String(); code != 1 || !strings.Contains(said, "out.jsonl is the file of --in") {
				t.Errorf("exit code %d, %q", code, said)
			}
			if err := os.Remove(out); err != nil {
				t.Fatal(err)
			}
		})
	}
	p := toEnd(t, program, append(args, "--out", in)...)
	if code, said := p.wait(), p.err.String(); code != 1 || !strings.Contains(said, "in.jsonl is the file of --in") {
		t.Errorf("exit code %d, %q", code, said)
	}
	if now := string(read(t, in)); now != before {
		t.Errorf("the prompts are %q, before %q", now, before)
	}
	args, out = asking(t, "", " ")
	p = toEnd(t, program, args...)
	if code, said := p.wait(), p.err.String(); code != 1 || !strings.Contains(said, "in.jsonl holds no prompts; each line is {") {
		t.Errorf("exit code %d, %q", code, said)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("something was written")
	}
}

// A signal keeps the answers that are complete.
func TestSignalKeepsAnswers(t *testing.T) {
	var lines []string
	for i := range 3000 {
		lines = append(lines, fmt.Sprintf(`{"prompt": "Question %d?", "id": %d}`, i, i))
	}
	args, out := asking(t, lines...)
	p := start(t, nil, raced, append(args, "--max-new", "100", "--batch-tokens", "500")...)
	eventually(t, p, "the first answers", func() bool {
		left, _ := filepath.Glob(filepath.Join(filepath.Dir(out), ".*"))
		return len(left) > 0 || p.ended()
	})
	p.Process.Signal(syscall.SIGTERM)
	code, said := p.wait(), p.err.String()
	m := regexp.MustCompile(`^vgid: interrupted \(SIGTERM\)(?: after (\d+) of 3000 answers: they are in ` + regexp.QuoteMeta(out) + `)?\n$`).FindStringSubmatch(said)
	if code != 143 || m == nil {
		t.Fatalf("exit code %d, %q", code, said)
	}
	n, _ := strconv.Atoi(m[1])
	raw, _ := os.ReadFile(out)
	for i, line := range strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n")[:n] {
		if !strings.Contains(line, fmt.Sprintf(`"id":%d,`, i)) {
			t.Fatalf("answer %d: %s", i, line)
		}
	}
	if got := strings.Count(string(raw), "\n"); got != n {
		t.Errorf("%d answers in the file, %d told", got, n)
	}
	if left := files(t, filepath.Dir(out)); len(left) > 2 {
		t.Errorf("%v is left", left)
	}
}
