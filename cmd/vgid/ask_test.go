//go:build linux

package main

import (
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vgid/model/hf"
	"vgid/vgid/vgidtest"
)

// picture writes a PNG of w × h pixels.
func picture(t *testing.T, w, h int) string {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.Set(x, y, color.RGBA{uint8(5 * x), uint8(4 * y), uint8(3 * (x + y)), 255})
		}
	}
	path := filepath.Join(t.TempDir(), "p.png")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := png.Encode(f, img); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestForward writes a pass of each family and looks at what is in the file.
// With VGID_PYTHON it is compared with transformers by check_forward.py.
func TestForward(t *testing.T) {
	for _, family := range vgidtest.Families {
		t.Run(family, func(t *testing.T) {
			w, err := vgidtest.MakeFamily(t.TempDir(), family)
			if err != nil {
				t.Fatal(err)
			}
			out := filepath.Join(t.TempDir(), "f.safetensors")
			must(t, program, "forward", "--model", w.Model, "--prompt", "USER: <image> and <image>\nWho?\nASSISTANT:", "--answer", " Nobody knows.",
				"--image", picture(t, 40, 31), "--image", picture(t, 60, 24), "--grad", "--recompute", "--threads", "1", "--out", out)
			f, err := hf.OpenSafetensors(out)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			ids, _ := f.Info("input_ids")
			logits, _ := f.Info("logits")
			if ids.DType != "I64" || len(ids.Shape) != 2 || !slices.Equal(logits.Shape, []int{ids.Shape[1], 1792}) {
				t.Errorf("input_ids %v, logits %v", ids, logits)
			}
			grads := 0
			for _, name := range f.Names() {
				if strings.HasPrefix(name, "grad.") {
					grads++
				}
			}
			if grads < 30 {
				t.Errorf("%d gradients", grads)
			}
			for _, name := range []string{"pixel_values", "labels", "loss"} {
				if _, ok := f.Info(name); !ok {
					t.Errorf("%s is missing", name)
				}
			}
			if python := os.Getenv("VGID_PYTHON"); python == "" {
				t.Log("NOT CHECKED against transformers: VGID_PYTHON names no python")
			} else if said, err := exec.Command(python, "../../model/testdata/check_forward.py", w.Model, out).CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, said)
			} else {
				t.Log(strings.TrimSpace(string(said[strings.LastIndex(string(said), "transformers "):])))
			}
		})
	}
}

func TestGenerate(t *testing.T) {
	dir := t.TempDir()
	p := picture(t, 30, 40)
	prompt := "USER: <image>\nWho?\nASSISTANT:"
	args := []string{"generate", "--model", world.Model, "--max-new", "6", "--threads", "1"}
	one := strings.TrimSuffix(must(t, program, append(args, "--prompt", prompt, "--image", p)...), "\n")
	in, out := filepath.Join(dir, "in.jsonl"), filepath.Join(dir, "out.jsonl")
	rel, err := filepath.Rel(dir, p)
	if err != nil {
		t.Fatal(err)
	}
	lines := []map[string]any{
		{"prompt": "USER: Where is it?\nASSISTANT:", "id": 7}, {"prompt": prompt, "images": []string{rel}},
	}
	var b strings.Builder
	b.WriteString("\uFEFF") // as some editors begin a file
	for _, l := range lines {
		if err := json.NewEncoder(&b).Encode(l); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(in, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	must(t, program, append(args, "--in", in, "--out", out)...)
	var got []struct {
		ID     int
		Answer string
	}
	for line := range strings.Lines(string(read(t, out))) {
		got = append(got, struct {
			ID     int
			Answer string
		}{})
		if err := json.Unmarshal([]byte(line), &got[len(got)-1]); err != nil {
			t.Fatal(err)
		}
	}
	if len(got) != 2 || got[0].ID != 7 || got[1].Answer != one {
		t.Errorf("answers %+v, alone %q", got, one)
	}
}

// TestChat: with --chat the folder's template makes what --prompt says in full,
// and bfloat16 weights give about the same.
func TestChat(t *testing.T) {
	w, err := vgidtest.MakeFamily(t.TempDir(), "qwen2_vl")
	if err != nil {
		t.Fatal(err)
	}
	template := "{% for m in messages %}{{ bos_token }}{{ m.role }}:{% for p in m.content %}{% if p.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ p.text }}{% endif %}{% endfor %}{% endfor %} ANSWER:"
	if err := os.WriteFile(filepath.Join(w.Model, "chat_template.jinja"), []byte(template), 0o644); err != nil {
		t.Fatal(err)
	}
	dir, p := t.TempDir(), picture(t, 40, 31)
	logits := func(name string, args ...string) []float32 {
		out := filepath.Join(dir, name)
		must(t, program, append([]string{"forward", "--model", w.Model, "--image", p, "--threads", "1", "--out", out}, args...)...)
		f, err := hf.OpenSafetensors(out)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		info, _ := f.Info("logits")
		v := make([]float32, info.Elements())
		if err := f.ReadF32("logits", v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	raw := logits("raw", "--prompt", "user:<image>Who? ANSWER:")
	if chat := logits("chat", "--prompt", "Who?", "--chat"); !slices.Equal(chat, raw) {
		t.Error("the template's prompt is not the one written in full")
	}
	half := logits("half", "--prompt", "Who?", "--chat", "--dtype", "bfloat16")
	worst := 0.0
	for i := range raw {
		worst = max(worst, math.Abs(float64(half[i]-raw[i])))
	}
	if worst == 0 || worst > 0.1 {
		t.Errorf("bfloat16 weights change the logits by %g", worst)
	}
}

// TestChatOfText: a template that knows only strings reads one; given a picture,
// it is refused.
func TestChatOfText(t *testing.T) {
	w, err := vgidtest.MakeFamily(t.TempDir(), "qwen2_vl")
	if err != nil {
		t.Fatal(err)
	}
	answer := func(args ...string) string {
		return must(t, program, append([]string{"generate", "--model", w.Model, "--max-new", "4"}, args...)...)
	}
	for _, template := range []string{
		"{% for m in messages %}{{ m.role }}:{{ m.content | trim }}{% endfor %} ANSWER:",
		"{% for m in messages %}{{ m.role + ':' + m.content.strip() }}{% endfor %} ANSWER:",
	} {
		if err := os.WriteFile(filepath.Join(w.Model, "chat_template.jinja"), []byte(template), 0o644); err != nil {
			t.Fatal(err)
		}
		if got, want := answer("--chat", "--prompt", " Who?\n"), answer("--prompt", "user:Who? ANSWER:"); got != want {
			t.Errorf("%s: answers %q, in full %q", template, got, want)
		}
		pr := toEnd(t, program, "generate", "--model", w.Model, "--chat", "--prompt", "Who?", "--image", picture(t, 40, 31))
		if code := pr.wait(); code != 1 || !strings.Contains(pr.err.String(), "chat template") {
			t.Errorf("%s: exit %d, %q for a picture", template, code, pr.err.String())
		}
	}
}

func TestAskingRefusesBadInput(t *testing.T) {
	p := picture(t, 30, 40)
	bad := filepath.Join(t.TempDir(), "bad.jsonl")
	if err := os.WriteFile(bad, []byte("{\"prompt\": \"a\"}\n{\"images\": []}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		args []string
		want []string
	}{
		{"no model", []string{"forward", "--prompt", "a", "--out", "x"}, []string{"--model is missing"}},
		{"no folder", []string{"generate", "--model", "/nowhere", "--prompt", "a"}, []string{"/nowhere"}},
		{"no template", []string{"generate", "--model", world.Model, "--prompt", "a", "--chat"}, []string{world.Model, "no chat template"}},
		{"dtype", []string{"generate", "--model", world.Model, "--prompt", "a", "--dtype", "int8"}, []string{"int8", "bfloat16"}},
		{"no image for a mark", []string{"generate", "--model", world.Model, "--prompt", "<image>"}, []string{"<image>", "0 images"}},
		{"no mark for an image", []string{"generate", "--model", world.Model, "--prompt", "a", "--image", p}, []string{"of 1 images only 0", "<image>"}},
		{"no such image", []string{"generate", "--model", world.Model, "--prompt", "<image>", "--image", p + "x"}, []string{p + "x"}},
		{"too long", []string{"generate", "--model", world.Model, "--prompt", strings.Repeat("who ", 300)}, []string{"max_position_embeddings 256"}},
		{"prompt and file", []string{"generate", "--model", world.Model, "--prompt", "a", "--in", bad}, []string{"--in", "--prompt"}},
		{"file alone", []string{"generate", "--model", world.Model, "--in", bad}, []string{"--in and --out"}},
		{"bad line", []string{"generate", "--model", world.Model, "--in", bad, "--out", bad + "x"}, []string{bad, "line 2", "prompt is missing"}},
		{"temperature", []string{"generate", "--model", world.Model, "--prompt", "a", "--temperature", "-1"}, []string{"temperature -1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pr := toEnd(t, program, tt.args...)
			if code := pr.wait(); code != 1 {
				t.Errorf("exit status %d", code)
			}
			line := strings.TrimSpace(pr.err.String())
			if strings.Contains(line, "\n") {
				t.Errorf("several lines: %q", line)
			}
			for _, w := range tt.want {
				if !strings.Contains(line, w) {
					t.Errorf("%q does not say %q", line, w)
				}
			}
		})
	}
}
