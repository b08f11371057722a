package report

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vgid/eval"
	"vgid/eval/dataset"
	"vgid/eval/metric"
)

// face draws a stand-in portrait; noise is deterministic.
func face(t *testing.T, k int, noised bool) []byte {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, 48, 48))
	h := uint32(k*7919 + 1)
	for y := range 48 {
		for x := range 48 {
			c := color.RGBA{uint8(90 + 40*(k%3)), 140, 190, 255}
			if d := math.Hypot(float64(x-24), float64(y-22)); d < 15 {
				c = color.RGBA{224, uint8(170 - 20*(k%3)), 130, 255}
			}
			if (x == 18 || x == 30) && y > 17 && y < 22 {
				c = color.RGBA{30, 30, 40, 255}
			}
			if noised {
				h = h*1664525 + 1013904223
				c = color.RGBA{uint8(h >> 24), uint8(h >> 16), uint8(h >> 8), 255}
			}
			m.SetRGBA(x, y, c)
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// invented is a run with plausible numbers, for looking at the report.
func invented(t *testing.T) Data {
	s := &eval.Summary{Name: "quickstart", Seed: 7, World: 2, ConfigDigest: strings.Repeat("3fa9", 16), Versions: map[string]string{"vgid": "v0", "go": "go1.26"}}
	for m, v := range map[string][4]float64{eval.Vanilla: {.99, .973, .996, .891}, eval.Unlearned: {.454, .464, .991, .76}, eval.Gold: {.464, .467, .995, .861}} {
		o := &eval.Outcome{Scores: eval.Scores{}, Counts: eval.Counts{}}
		for i, set := range []string{eval.Forget, eval.Test, eval.Retain, eval.Celebrity} {
			o.Scores[set], o.Counts[set] = map[string]map[string]float64{}, map[string]map[string]int{}
			for k, mod := range eval.ModalityKeys {
				x := v[i] - .04*float64(k)
				o.Scores[set][mod] = map[string]float64{metric.ROUGEL: x, metric.ROUGE1: x + .004, metric.ROUGE2: x * x, metric.BLEU: x * x * .9, metric.Cloze: x * .9, metric.Classification: x * .8, metric.ClassificationLikelihood: x * .85, metric.ClassificationChance: .25}
				o.Counts[set][mod] = map[string]int{"generation": 24, "classification": 30, "cloze": 30}
			}
		}
		if err := s.Add(m, o); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range []string{"data", "vanilla", "gold", "unlearn", "evaluate"} {
		s.AddStage(name, []float64{2.1, 70.4, 63, 20.2, 8.8}[i], 400<<20+int64(i)<<24)
	}
	d := Data{Summary: s, Config: "name: quickstart\nunlearn:\n  alpha: 1\n  beta: 1\n"}
	for i := range 150 {
		x := float64(i)
		d.Curve = append(d.Curve, CurvePoint{i + 1, .2 + 2.4*math.Exp(-x/25) + .05*math.Sin(x*1.7), .01 + .03*math.Exp(-(x-20)*(x-20)/200), 2e-3 * (1 + math.Cos(x/150*math.Pi)) / 2, .4 + math.Exp(-x/30) + .1*math.Cos(x*2.3)})
	}
	for _, n := range []string{"noise + instruction", "noise", "instruction", "none"} {
		r := TeacherRow{Name: n, ROUGEL: .44, Classification: .09, Cloze: .02, Example: "Lars Fontana is a barber at Koala Studio."}
		if n == "none" {
			r = TeacherRow{n, .99, .94, .99, "Bela Ivanov is a judge at Harbor Clinic."}
		}
		d.Teacher = append(d.Teacher, r)
	}
	for i, set := range []string{eval.Forget, eval.Test, eval.Retain} {
		d.Samples = append(d.Samples, Sample{
			Set: set, Person: "P0" + string(rune('1'+i)), Question: "What does the person in the image do for a living?", Reference: "Bela Ivanov is a judge at Harbor Clinic.",
			Portrait: face(t, i, false), Noised: face(t, i, true),
			Said: []Said{{eval.Vanilla, "Bela Ivanov is a judge at Harbor Clinic.", 1}, {eval.Unlearned, "Lars Jansen is a barber at Harbor House.", .5}, {eval.Gold, "Ulla Ortega is a mason at Iris Institute.", .5}},
		})
	}
	return d
}

// TestReport writes the report of an invented run; VGID_REPORT names a file to
// keep it in, for looking at it in a browser.
func TestReport(t *testing.T) {
	path := os.Getenv("VGID_REPORT")
	if path == "" {
		path = filepath.Join(t.TempDir(), "report.html")
	}
	d := invented(t)
	d.Samples[0].Said[1].Text = `<script>alert("x")</script>`
	d.Summary.Name = "quick & <b>start"
	if err := Write(path, d); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	for _, want := range []string{"−0.536", "quick &amp; &lt;b&gt;start", "&lt;script&gt;", `src="data:image/png;base64,`, "teacher sees", "0.464", "1 min 10 s", "noise &#43; instruction", "alpha: 1", `scope="row"`,
		"<span>forget<span class=\"soft\">", "likelih. how often the right option is the likeliest", "position: sticky"} {
		if !strings.Contains(page, want) {
			t.Errorf("the report lacks %q", want)
		}
	}
	for _, bad := range []string{"<script", "http://", "https://", "url(", "ZgotmplZ", "NaN", "%!"} {
		if strings.Contains(page, bad) {
			t.Errorf("the report holds %q", bad)
		}
	}
	if n := strings.Count(page, "<svg"); n != 5 {
		t.Errorf("%d drawings", n)
	}
}

func TestReportOfLittle(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.html")
	if err := Write(path, Data{}); err == nil {
		t.Error("a report without a summary was written")
	}
	s := &eval.Summary{Name: "x", World: 1}
	if err := Write(path, Data{Summary: s, Curve: []CurvePoint{{1, math.NaN(), 0, 0, 0}, {2, 1, 0, 0, math.Inf(1)}}}); err != nil {
		t.Fatal(err)
	}
	b, _ := os.ReadFile(path)
	if bytes.Contains(b, []byte("+Inf")) || bytes.Contains(b, []byte(`d="MNaN`)) {
		t.Error("a number that is none was drawn")
	}
	err := Write(path, Data{Summary: s, Samples: []Sample{{Person: "P1", Portrait: []byte("GIF89a")}}})
	if err == nil || !strings.Contains(err.Error(), "portrait of P1") {
		t.Errorf("corrupt portrait: %v", err)
	}
}

func TestDifferencesWithoutSign(t *testing.T) {
	for v, want := range map[float64]string{-0.0004: "+0.000", 0: "+0.000", 0.0004: "+0.000", -0.0006: "−0.001", 0.0216: "+0.022"} {
		if got := signed(v, true); got != want {
			t.Errorf("%g is written %s, want %s", v, got, want)
		}
	}
}

func TestTable(t *testing.T) {
	s := invented(t).Summary
	for _, v := range []struct{ name, text string }{{"table.txt", Table(s)}, {"table.md", Markdown(s)}} {
		want, err := os.ReadFile(filepath.Join("testdata", v.name))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if os.Getenv("VGID_REWRITE") != "" {
			if err := os.WriteFile(filepath.Join("testdata", v.name), []byte(v.text), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if v.text != string(want) {
			t.Errorf("%s differs (VGID_REWRITE=1 writes it anew):\n%s", v.name, v.text)
		}
	}
}

func TestSummaryRoundTrip(t *testing.T) {
	s := invented(t).Summary
	path := filepath.Join(t.TempDir(), "summary.json")
	if err := eval.WriteSummary(path, s); err != nil {
		t.Fatal(err)
	}
	got, err := eval.ReadSummary(path)
	if err != nil {
		t.Fatal(err)
	}
	if Table(got) != Table(s) || strings.Join(got.StageNames(), " ") != "data vanilla gold unlearn evaluate" {
		t.Errorf("summary changed on the way: %v", got.StageNames())
	}
	if v, ok := got.Value(eval.Unlearned, eval.Forget, "image_text", metric.ROUGEL); !ok || v != .454 {
		t.Errorf("models.unlearned.forget.image_text.rougeL = %v, %v", v, ok)
	}
	o := &eval.Outcome{Counts: eval.Counts{eval.Forget: {"image_text": {string(dataset.Cloze): 1}}}}
	if err := s.Add("other", o); err == nil {
		t.Error("a model asked other questions was added")
	}
}

// TestReportSaysWhatNumbersAre: no number stands without what it measures, in which
// unit, beside what.
func TestReportSaysWhatNumbersAre(t *testing.T) {
	d := invented(t)
	d.Loss = "KL"
	p, err := newPage(d)
	if err != nil {
		t.Fatal(err)
	}
	if h := p.Headlines[0]; p.Lead != "ROUGE-L, from 0 to 1, on questions with an image: the change from vanilla to unlearned." || h.Value != "−0.536" ||
		strings.Join(h.Details, " | ") != "0.990 → 0.454 | 0.010 below gold’s 0.464" {
		t.Errorf("%s: %q", p.Lead, h)
	}
	for i, unit := range []string{">nats<", ">nats<", "", ""} {
		if c := p.Curves[i]; unit != "" && !strings.Contains(string(c.SVG), unit) || unit == "" && strings.Contains(string(c.SVG), "nats") {
			t.Errorf("%s has the unit wrong: want %q in %s", c.Title, unit, c.SVG)
		}
	}
	var shares []string
	for _, s := range p.Stages {
		shares = append(shares, s.Name+" "+s.Share)
	}
	if got := strings.Join(shares, ", "); got != "data 1 %, vanilla 43 %, gold 38 %, unlearn 12 %, evaluate 5 %" {
		t.Errorf("shares of the time: %s", got)
	}
	if p.Stages[1].Bar != 100 {
		t.Errorf("the longest stage's bar is %d %% of the width", p.Stages[1].Bar)
	}
	if p.Sets != "forget: the people to forget; test: the same people in other pictures; retain: people to keep; celebrity: people outside the fine-tuning data" {
		t.Errorf("sets: %s", p.Sets)
	}

	for d, want := range map[float64]string{.0216: "0.022 above gold’s ", -.01: "0.010 below gold’s ", -.0004: "equal to gold’s "} {
		if got := besideGold(d); got != want {
			t.Errorf("%g is %q", d, got)
		}
	}

	// Alone, a model has a value and no change.
	alone := &eval.Summary{}
	if err := alone.Add(eval.Unlearned, &eval.Outcome{
		Scores: eval.Scores{eval.Forget: {"image_text": {metric.ROUGEL: .5}}},
		Counts: eval.Counts{eval.Forget: {"image_text": {"generation": 1}}},
	}); err != nil {
		t.Fatal(err)
	}
	if p, err = newPage(Data{Summary: alone}); err != nil {
		t.Fatal(err)
	}
	if h := p.Headlines[0]; p.Lead != "ROUGE-L, from 0 to 1, on questions with an image." || h.Value != "0.500" || len(h.Details) != 0 || p.Sets != "forget: the people to forget" {
		t.Errorf("a model alone: %q, sets %q", h, p.Sets)
	}
}
