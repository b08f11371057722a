package config_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"vgid/vgid/config"
	_ "vgid/vgid/train" // what registers methods, kinds of noise and their settings
)

// The values of a field that others bring are checked as those beside the field, and
// listed with it.
func TestRegisteredValues(t *testing.T) {
	for path, first := range map[string]string{"unlearn.method": "vgid", "unlearn.noise.kind": "uniform-replace"} {
		i := slices.IndexFunc(config.Fields(), func(f config.Field) bool { return f.Path == path })
		if i < 0 || len(config.Fields()[i].Values) < 2 || config.Fields()[i].Values[0] != first {
			t.Errorf("%s: %+v", path, config.Fields()[i])
		}
		want := path + `: "x" is not one of ` + strings.Join(config.Fields()[i].Values, ", ")
		if _, err := config.Load("", map[string]string{path: "x"}); err == nil || err.Error() != "config: "+want {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
}

// The settings of a method are set, refused and suggested as all others.
func TestSection(t *testing.T) {
	c, err := config.Load("", map[string]string{"unlearn.npo.beta": "0.5"})
	if err != nil || !slices.Contains(c.Lines(), "unlearn.npo.beta: 0.5") {
		t.Errorf("%v: %q", err, c.Lines())
	}
	if d := config.Default(); !slices.Contains(d.Lines(), "unlearn.npo.beta: 0.1") {
		t.Errorf("the default is written to: %q", d.Lines())
	}
	before := c
	if err := c.Set("unlearn.npo.beta", "0.9"); err != nil || !slices.Contains(before.Lines(), "unlearn.npo.beta: 0.5") {
		t.Errorf("a copy is written to: %v", err)
	}
	for path, want := range map[string]string{
		"unlearn.npo.bta": `did you mean "beta"`,
		"unlearn.np":      `did you mean "npo"`,
		"unlearn.npo":     "is a group of fields",
	} {
		if _, err := config.Load("", map[string]string{path: "1"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
	if _, err := config.Load("", map[string]string{"unlearn.npo.beta": "0"}); err == nil || !strings.Contains(err.Error(), "unlearn.npo.beta: 0 is below") {
		t.Errorf("%v", err)
	}
}

// What a method's settings are does not change what runs of other methods were.
func TestSectionsOfOtherMethods(t *testing.T) {
	a, b := config.Default(), config.Default()
	if err := b.Set("unlearn.npo.beta", "7"); err != nil {
		t.Fatal(err)
	}
	if a.Digest() != b.Digest() || a.Settings() != b.Settings() || strings.Contains(a.Settings(), "npo") {
		t.Errorf("a setting of npo is one of vgid:\n%s", a.Settings())
	}
	// The digest of the defaults before there was a second method: checkpoints hold it.
	if got, want := a.Digest(), "376b7ec3acc3a93d769b47b715b797a6d7d8b76cafb639b1dfb5699ae91d4720"; got != want {
		t.Errorf("the digest of the defaults is %s, was %s", got, want)
	}
	a.Unlearn.Method, b.Unlearn.Method = "npo", "npo"
	if a.Digest() == b.Digest() || a.For("unlearned").Settings() == b.For("unlearned").Settings() {
		t.Error("a setting of npo changes nothing of its runs")
	}
	if x, y := a.For("vanilla").Settings(), b.For("vanilla").Settings(); x != y || strings.Contains(x, "npo") {
		t.Errorf("it changes the model before unlearning:\n%s", y)
	}
}

// A section is read as the struct that was registered, its default where nothing is
// set.
func TestSectionValue(t *testing.T) {
	c := config.Default()
	if err := c.Set("unlearn.npo.beta", "0.25"); err != nil {
		t.Fatal(err)
	}
	v := reflect.ValueOf(config.Section[any](c.Unlearn, "npo"))
	if v.NumField() != 1 || v.Field(0).Float() != 0.25 {
		t.Errorf("%v", v)
	}
	if v := reflect.ValueOf(config.Section[any](config.Unlearn{}, "npo")); v.Field(0).Float() != 0.1 {
		t.Errorf("%v", v)
	}
}

// Who retains nobody is told what the method in use can do about it.
func TestBatchRetainAdvice(t *testing.T) {
	for method, want := range map[string]string{
		"vgid":     "set beta to 0 to unlearn without a retain term",
		"npo":      "set beta to 0 to unlearn without a retain term",
		"graddiff": "set batch_retain above 0, as graddiff needs samples to retain",
	} {
		settings := map[string]string{"unlearn.method": method, "unlearn.batch_retain": "0"}
		if _, err := config.Load("", settings); err == nil || err.Error() != "config: unlearn.batch_retain is 0 while unlearn.beta is 1: "+want {
			t.Errorf("%s: %v, want %s", method, err, want)
		}
	}
}
