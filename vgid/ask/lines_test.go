package ask

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"vgid/model"
	"vgid/model/cpu"
	"vgid/model/hf/modeldir"
	"vgid/vgid/vgidtest"
)

// Where the work ends early, the answers that are complete are written, from the
// first on and without one left out; they are those of undisturbed work.
func TestAnswersSoFarAreKept(t *testing.T) {
	w, err := vgidtest.Make(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	be := cpu.New(1)
	defer be.Close()
	a, err := Open(t.Context(), be, modeldir.Open(w.Model), "", model.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Model.Close()
	const all = questionBatch + 9
	var in strings.Builder
	for i := range all {
		fmt.Fprintf(&in, "{\"prompt\": \"Question %d?\", \"id\": %d}\n", i, i)
	}
	tokens := 0
	answer := func(after int) (string, int, error) {
		lines, err := ReadLines(strings.NewReader(in.String()), "in.jsonl", "")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		o := a.Greedy(5)
		o.Temperature, o.MaxBatchTokens = 1, 100 // of different lengths, a few at once
		tokens = 0
		o.Stop = func([]int32) bool {
			if tokens++; tokens == after {
				cancel()
			}
			return tokens%9 == 0
		}
		var out bytes.Buffer
		n, err := a.AnswerLines(ctx, lines, "answer", &out, o, nil)
		return out.String(), n, err
	}
	whole, n, err := answer(-1)
	if err != nil || n != all || strings.Count(whole, "\n") != all {
		t.Fatalf("%d answers, %v", n, err)
	}
	some, total := 0, tokens
	for _, after := range []int{1, total / 2, total - 15} {
		got, n, err := answer(after)
		if !errors.Is(err, context.Canceled) || strings.Count(got, "\n") != n || !strings.HasPrefix(whole, got) || !strings.HasPrefix(err.Error(), fmt.Sprintf("in.jsonl, line %d: ", n+1)) {
			t.Errorf("ended after %d tokens: %d answers, %v\n%s", after, n, err, got)
		}
		if n%questionBatch != 0 {
			some++
		}
	}
	if some == 0 {
		t.Error("no end in the middle of a batch was tried")
	}
}

// FuzzReadLines: a line is a question or has an error that names it, never both.
func FuzzReadLines(f *testing.F) {
	f.Add("{\"prompt\": \"a\", \"images\": [\"b\", \"/c\"]}\n\n[1]\n{")
	f.Add("\uFEFF{\"prompt\": \"a\"}")
	f.Fuzz(func(t *testing.T, text string) {
		lines, err := ReadLines(strings.NewReader(text), "in", "dir")
		if err != nil {
			return
		}
		for _, l := range lines {
			if l.Err == nil && (l.Prompt == "" || l.Fields == nil) {
				t.Fatalf("%+v", l)
			}
			if l.Err != nil && !strings.HasPrefix(l.Err.Error(), l.Where) {
				t.Fatalf("%v does not name %s", l.Err, l.Where)
			}
			for _, p := range l.Images {
				if l.Err == nil && !filepath.IsAbs(p) && !strings.HasPrefix(filepath.Clean(p), "dir") && !strings.HasPrefix(p, "..") && p != "." {
					t.Fatalf("%q is not relative to dir", p)
				}
			}
		}
	})
}
