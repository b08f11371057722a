package config

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite testdata/default.yaml")

// The file that is written, its comments and the order of its fields are what
// people read, and the digests of runs that are resumed are made of it: a change
// shows here. Run with -update to rewrite the golden, and commit that only where
// the change is meant.
func TestDefaultFile(t *testing.T) {
	const golden = "testdata/default.yaml"
	var b bytes.Buffer
	if err := Default().WriteYAML(&b, true); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), want) {
		t.Errorf("the default configuration is written otherwise than %s; the file would be\n%s", golden, b.String())
	}
}

// Digest is the SHA-256 of the file without comments, without what workers may
// differ in and without the settings of methods that are not in use: runs of earlier versions are resumed only as long as that holds.
func TestDigestIsOfTheFile(t *testing.T) {
	raw, err := os.ReadFile("testdata/default.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`(?m)^ *#.*\n`).ReplaceAllString(string(raw), "")
	text = regexp.MustCompile(`(?m)^  npo:\n(    .*\n)*`).ReplaceAllString(text, "") // of a method that is not in use
	text = strings.Replace(text, "  transport: \"auto\"\n", "", 1)
	text = regexp.MustCompile(`(?m)^  (zero: .*|algorithm: "auto"|wire: "float32")\n`).ReplaceAllString(text, "")
	text = regexp.MustCompile(`(?m)^  tls:\n(    .*\n)*`).ReplaceAllString(text, "")
	for field, zero := range map[string]string{"threads: 0": "threads: 0", "resume: false": "resume: false", `addr: ":0"`: `addr: ""`} {
		if strings.Count(text, field+"\n") != 1 {
			t.Fatalf("%q does not stand once in the file", field)
		}
		text = strings.Replace(text, field, zero, 1)
	}
	sum := sha256.Sum256([]byte(text))
	if got, want := Default().Digest(), hex.EncodeToString(sum[:]); got != want {
		t.Errorf("the digest is %s, the file's %s", got, want)
	}
}

// What no result depends on is part of no digest, whatever it is set to, so that a run may
// be resumed with another.
func TestDigestLeavesOut(t *testing.T) {
	for path, value := range map[string]string{
		"collective.zero": "1", "collective.transport": "grpc-stock", "collective.tls.ca": "ca.pem", "threads": "3", "resume": "true", "metrics.addr": "",
	} {
		c := Default()
		if err := c.Set(path, value); err != nil {
			t.Fatal(err)
		}
		if c.Digest() != Default().Digest() || c.Settings() != Default().Settings() {
			t.Errorf("%s: %q changes the digest", path, value)
		}
	}
}

// Fields of an embedded struct are set, refused and suggested as those around.
func TestEmbeddedFields(t *testing.T) {
	c, err := Load("", map[string]string{"unlearn.accumulate": "3", "train.lora.r": "5", "train.mix.cloze": "2", "train.modules": "head"})
	if err != nil || c.Unlearn.Accumulate != 3 || c.Train.Accumulate != 1 || c.Train.LoRA.R != 5 || c.Train.Mix.Cloze != 2 || c.Unlearn.Mix.Cloze != 1 || len(c.Train.Modules) != 1 {
		t.Errorf("%v: %+v", err, c.Train)
	}
	for path, want := range map[string]string{
		"train.acumulate":    `did you mean "accumulate"`,
		"unlearn.lora.rank":  "unlearn.lora.rank: no such field",
		"train.Memory":       "no such field",
		"train.mix.generate": "no such field",
	} {
		_, err := Load("", map[string]string{path: "1"})
		var bad *OverrideError // a program says it of its flag
		if !errors.As(err, &bad) || bad.Path != path || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
	c.Train.Accumulate = 0
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "train.accumulate: 0 is below") {
		t.Errorf("%v", err)
	}
}
