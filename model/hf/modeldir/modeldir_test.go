package modeldir

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"vgid/model/hf"
	"vgid/model/hf/imaging"
	"vgid/model/hf/tokenizer"
	"vgid/model/kit/hftest"
)

// folder is a small model folder.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "config.json", `{"model_type": "llava"}`)
	write(t, dir, "tokenizer.json", `{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}`)
	write(t, dir, "chat_template.jinja", "one")
	if err := imaging.NewCLIP(28).Write(dir); err != nil {
		t.Fatal(err)
	}
	weights(t, dir, 1)
	return dir
}

// write writes a file in place, and then sees to it that its time is another than
// before: the clock of file systems ticks every few milliseconds. Hidden files are
// no part of a folder's state.
func write(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	before := state(dir)
	for {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if state(dir) != before {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func weights(t *testing.T, dir string, value float32) {
	t.Helper()
	err := hf.WriteSafetensors(filepath.Join(dir, "model.safetensors"), []hf.NamedTensor{
		{Name: "w", DType: "F32", Shape: []int{1}, Data: []float32{value}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
}

// parts are all that a folder gives, in a form that can be compared.
func parts(t *testing.T, d *Dir) (out [5]any) {
	t.Helper()
	c, err := d.Config()
	out[0] = &c[0]
	for i, ask := range []func() (any, error){
		func() (any, error) { return d.Tokenizer() },
		func() (any, error) { return d.Processor() },
		func() (any, error) { return d.ChatTemplate() },
		func() (any, error) {
			w, err := d.Weights()
			if err == nil {
				err = w.Close()
			}
			return w, err
		},
	} {
		if err == nil {
			out[i+1], err = ask()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Each part is read once, as long as no file changes; then anew.
func TestPartsAreReadOnce(t *testing.T) {
	dir := folder(t)
	d := Open(dir)
	defer d.Close()
	first := parts(t, d)
	if again := parts(t, d); again != first {
		t.Errorf("a part was read again: %v, before %v", again, first)
	}
	write(t, dir, "tokenizer.json", `{"model": {"type": "BPE", "vocab": {"b": 0}, "merges": []}}`)
	second := parts(t, d)
	for i := range first {
		if second[i] == first[i] {
			t.Errorf("part %d is that of before a file changed", i)
		}
	}
	if tok, err := d.Tokenizer(); err != nil || tok.Token(0) != "b" {
		t.Errorf("the tokenizer is not that of the file: %v", err)
	}
}

// Every kind of change counts: a file that is new, one that is gone, one that
// another took the place of, one that was written to.
func TestChangesAreSeen(t *testing.T) {
	rendered := func(d *Dir) string {
		c, err := d.ChatTemplate()
		if errors.Is(err, tokenizer.ErrNoChatTemplate) {
			return "none"
		}
		if err != nil {
			t.Fatal(err)
		}
		s, err := c.Render([]tokenizer.Message{{Role: "user"}}, false)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	dir := folder(t)
	d := Open(dir)
	defer d.Close()
	for _, c := range []struct {
		name string
		do   func() error
		want string
	}{
		{"as it was", func() error { return nil }, "one"},
		{"written to", func() error { write(t, dir, "chat_template.jinja", "two"); return nil }, "two"},
		{"replaced", func() error {
			if err := os.WriteFile(filepath.Join(dir, ".new"), []byte("six"), 0o644); err != nil {
				return err
			}
			return os.Rename(filepath.Join(dir, ".new"), filepath.Join(dir, "chat_template.jinja"))
		}, "six"},
		{"gone", func() error { return os.Remove(filepath.Join(dir, "chat_template.jinja")) }, "none"},
		{"new below", func() error {
			if err := os.Mkdir(filepath.Join(dir, hf.TemplateFolder), 0o755); err != nil {
				return err
			}
			write(t, dir, hf.TemplateFolder+"/default.jinja", "ten")
			return nil
		}, "ten"},
		{"changed below", func() error { write(t, dir, hf.TemplateFolder+"/default.jinja", "hen"); return nil }, "hen"},
	} {
		if err := c.do(); err != nil {
			t.Fatal(err)
		}
		if got := rendered(d); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// What was given stays whole when the folder gets other weights, or is closed.
func TestWeightsStayWhileTheyAreHeld(t *testing.T) {
	dir := folder(t)
	d := Open(dir)
	read := func(w *hf.Weights) float32 {
		t.Helper()
		var v [1]float32
		if err := w.ReadF32("w", v[:]); err != nil {
			t.Fatal(err)
		}
		return v[0]
	}
	old, err := d.Weights()
	if err != nil {
		t.Fatal(err)
	}
	weights(t, dir, 2)
	now, err := d.Weights()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if a, b := read(old), read(now); a != 1 || b != 2 {
		t.Errorf("weights %v and %v, want 1 and 2", a, b)
	}
	for _, w := range []*hf.Weights{old, now} {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		err := w.ReadF32("w", make([]float32, 1))
		hftest.WantError(t, err, "read after Close")
	}
}

// Errors are those of the parts, the same each time, and end with their cause.
func TestErrors(t *testing.T) {
	dir := t.TempDir()
	d := Open(dir)
	for range 2 {
		_, err := d.Config()
		hftest.WantError(t, err, "config.json: no such file")
		_, err = d.Weights()
		hftest.WantError(t, err, "neither model.safetensors nor")
		_, err = d.Tokenizer()
		hftest.WantError(t, err, "a model's folder holds its tokenizer")
		_, err = d.Processor()
		hftest.WantError(t, err, "a model's folder holds one of them")
	}
	if g, err := d.Generation(); err != nil || g.EOS != nil {
		t.Errorf("generation settings %+v, %v of a folder without any", g, err)
	}
	write(t, dir, "config.json", `{"eos_token_id": 2}`)
	if g, err := d.Generation(); err != nil || len(g.EOS) != 1 {
		t.Errorf("generation settings %+v, %v of config.json", g, err)
	}
	_, err := Open(filepath.Join(dir, "config.json")).Config()
	hftest.WantError(t, err, "is a file; give the folder")
	_, err = Open(filepath.Join(dir, "none")).Config()
	hftest.WantError(t, err, "none: no such file")
	if b, err := d.Config(); err != nil || !strings.Contains(string(b), "eos") {
		t.Errorf("config %s, %v", b, err)
	}
}

func TestManyAtOnce(t *testing.T) {
	dir := folder(t)
	d := Open(dir)
	defer d.Close()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 20 {
				if i == 0 {
					weights(t, dir, 3)
				}
				w, err := d.Weights()
				if err != nil {
					t.Error(err)
					return
				}
				var v [1]float32
				if err := w.ReadF32("w", v[:]); err != nil || v[0] != 1 && v[0] != 3 {
					t.Errorf("weights %v, %v", v, err)
				}
				if err := w.Close(); err != nil {
					t.Error(err)
				}
				if _, err := d.Tokenizer(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
