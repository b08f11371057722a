// Package report shows what a run's summary holds: tables for a terminal and in
// Markdown, a page with curves and samples, and the spread of several runs.
package report

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"image/jpeg"
	"image/png"
	"time"

	"vgid/eval"
	"vgid/model/kit/safefile"
)

// Data is what the report shows. Everything but Summary may be empty;
// its section is then left out.
type Data struct {
	Summary *eval.Summary
	Curve   []CurvePoint // of the unlearning stage
	Loss    string       // what its losses are: KL
	Teacher []TeacherRow // the teacher's answers to forget questions
	Samples []Sample
	Config  string // the resolved configuration, YAML
}

// CurvePoint is one step of unlearning. Losses are means in nats, per token or, where
// the method says so, per answer.
type CurvePoint struct {
	Step           int
	Forget, Retain float64
	LR, GradNorm   float64
}

// TeacherRow is the frozen teacher under one intervention, before unlearning.
type TeacherRow struct {
	Name           string  `json:"name"` // e.g. "noise + instruction"
	ROUGEL         float64 `json:"rougeL"`
	Classification float64 `json:"classification"`
	Cloze          float64 `json:"cloze"`
	Example        string  `json:"example"` // what it says to the first sample's question
}

// Sample is one question shown in full.
type Sample struct {
	Set, Person, Question, Reference string
	Portrait, Noised                 []byte // PNG or JPEG; nil when there is none
	Said                             []Said // vanilla, unlearned, gold
}

// Said is a model's answer to a sample.
type Said struct {
	Model, Text string
	ROUGEL      float64
}

//go:embed report.html
var reportHTML string

var reportTemplate = template.Must(template.New("report").Parse(reportHTML))

// Write writes the report as one HTML file that fetches nothing,
// atomically.
//
// It is written whole or not at all, as a run may be asked for it again.
// Of the content only a picture that no browser would show is an error.
func Write(path string, d Data) error {
	if d.Summary == nil {
		return fmt.Errorf("%s: a report needs a summary", path)
	}
	page, err := newPage(d)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	var b bytes.Buffer
	if err := reportTemplate.Execute(&b, page); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return safefile.WriteBytes(path, b.Bytes())
}

// dataURL embeds an encoded image after checking that a browser will show it.
// Only the header is decoded. The pictures are a benchmark's, whose bytes are kept as
// they came, so that their kind is not known from elsewhere.
func dataURL(b []byte) (template.URL, error) {
	if len(b) == 0 {
		return "", nil
	}
	kind := "image/png"
	if _, err := png.DecodeConfig(bytes.NewReader(b)); err != nil {
		if _, err := jpeg.DecodeConfig(bytes.NewReader(b)); err != nil {
			return "", fmt.Errorf("%d bytes that are neither PNG nor JPEG", len(b))
		}
		kind = "image/jpeg"
	}
	return template.URL("data:" + kind + ";base64," + base64.StdEncoding.EncodeToString(b)), nil
}

// duration and mebibytes are for people: three figures, and the unit that has them.
func duration(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	if d < time.Minute {
		return fmt.Sprintf("%.1f s", seconds)
	}
	d = d.Round(time.Second)
	if d < time.Hour {
		return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
}

// A dash is for stages whose memory is not known.
func mebibytes(n int64) string {
	if n == 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20))
}
