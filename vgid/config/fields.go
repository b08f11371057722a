package config

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Field describes one setting, for flags and documentation.
type Field struct {
	Path    string // dotted, as in the file and on the command line
	Doc     string
	Default string
	Values  []string // it may have; none where it may have any
	Bool    bool     // true or false; as a flag it may stand alone
	List    bool     // as a flag it is written as SplitList reads it
}

// Fields lists every setting in the order of the file.
// A group is no setting of its own and is left out; its fields are listed one by one.
func Fields() []Field {
	c := Default()
	var out []Field
	_ = walk(reflect.ValueOf(c), "", func(path string, f reflect.StructField, v reflect.Value) error {
		if v.Kind() != reflect.Struct {
			out = append(out, Field{path, describe(path, f), format(v), allowed(path, f), v.Kind() == reflect.Bool, v.Kind() == reflect.Slice})
		}
		return nil
	})
	return out
}

// Validate checks every field against the limits declared beside it, and the
// few rules that span fields.
// The first fault ends it, always the same one: fields in their order, then the rules.
func (c Config) Validate() error {
	err := walk(reflect.ValueOf(c), "", check)
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	for _, s := range []struct {
		name string
		Optim
	}{{"train", c.Train.Optim}, {"unlearn", c.Unlearn.Optim}} {
		if max(s.Beta1, s.Beta2) >= 1 {
			return fmt.Errorf("config: %s.optim: beta1 %g and beta2 %g must be below 1", s.name, s.Beta1, s.Beta2)
		}
	}
	switch {
	case c.Device == "cpu" && c.Precision != "float32":
		return fmt.Errorf("config: precision: %s needs device: cuda; the CPU computes in float32", c.Precision)
	case c.Out == "":
		return fmt.Errorf("config: out is empty: name the folder that holds the runs")
	case c.Name == "." || !filepath.IsLocal(c.Name):
		return fmt.Errorf("config: name: %q is not a folder below out", c.Name)
	case strings.Split(filepath.ToSlash(filepath.Clean(c.Name)), "/")[0] == "metrics":
		return fmt.Errorf("config: name: the folder metrics lists where the metrics of all runs are; choose another name")
	case c.Collective.Timeout <= 0:
		return fmt.Errorf("config: collective.timeout: %v is no time to wait; give for example 30s", c.Collective.Timeout)
	case c.Collective.TLS != (TLS{}) && (c.Collective.TLS.CA == "" || c.Collective.TLS.Cert == "" || c.Collective.TLS.Key == ""):
		return fmt.Errorf("config: collective.tls: ca, cert and key belong together: set all or none")
	case c.Data.Retain != "" && c.Data.Retain == c.Data.Forget:
		return fmt.Errorf("config: data.forget and data.retain are both %s: nobody can be forgotten and retained", c.Data.Forget)
	case len(c.Eval.Sets) == 0 || len(c.Eval.Modalities) == 0:
		return fmt.Errorf("config: eval.sets and eval.modalities must not be empty: there would be no question to ask")
	case (c.Data.Profiles == "") != (c.Data.Splits == ""):
		return fmt.Errorf("config: data.profiles and data.splits belong together: set both or neither")
	case c.Unlearn.BatchRetain == 0 && c.Unlearn.Beta > 0:
		advice := "set beta to 0 to unlearn without a retain term"
		if m := c.Unlearn.Method; slices.Contains(chosen("unlearn.method", m).Needs, "unlearn.beta") {
			advice = "set batch_retain above 0, as " + m + " needs samples to retain"
		}
		return fmt.Errorf("config: unlearn.batch_retain is 0 while unlearn.beta is %g: %s", c.Unlearn.Beta, advice)
	case c.Prompt.Template == ChatTemplate: // what stands in the model's folder
	case !strings.Contains(c.Prompt.Template, "<image>") || !strings.Contains(c.Prompt.Template, "{prompt}"):
		return fmt.Errorf("config: prompt.template needs both <image> and {prompt}, or is %s", ChatTemplate)
	case !strings.Contains(c.Prompt.Text, "{prompt}"):
		return fmt.Errorf("config: prompt.text needs {prompt}")
	}
	return nil
}

// check holds a field against the limits declared beside it.
// A tag that does not fit its field's type is a mistake of the program, and panics (number,
// parse64).
func check(path string, f reflect.StructField, v reflect.Value) error {
	if values := allowed(path, f); values != nil && !slices.Contains(values, v.String()) {
		return fmt.Errorf("%s: %q is not one of %s", path, v.String(), strings.Join(values, ", "))
	}
	if each := f.Tag.Get("each"); each != "" {
		if err := checkList(path, v, strings.Split(each, ",")); err != nil {
			return err
		}
	}
	if lo := f.Tag.Get("min"); lo != "" && number(v) < parse64(lo) {
		return fmt.Errorf("%s: %s is below the least value %s", path, format(v), lo)
	}
	if hi := f.Tag.Get("max"); hi != "" && number(v) > parse64(hi) {
		return fmt.Errorf("%s: %s is above the greatest value %s", path, format(v), hi)
	}
	return nil
}

// checkList holds the values of a list against those that it may have, each once.
func checkList(path string, v reflect.Value, values []string) error {
	seen := map[string]bool{}
	for i := range v.Len() {
		s := v.Index(i).String()
		switch {
		case !slices.Contains(values, s):
			return fmt.Errorf("%s: %q is not one of %s", path, s, strings.Join(values, ", "))
		case seen[s]:
			return fmt.Errorf("%s: %q stands in it twice; leave one", path, s)
		}
		seen[s] = true
	}
	return nil
}

// Shared is the configuration without what workers may differ in, and without the
// settings of methods that it does not use.
func (c Config) Shared() Config {
	c.Metrics, c.Threads, c.Resume = Metrics{}, 0, false
	c.Collective.Transport, c.Collective.TLS, c.Collective.Zero = "", TLS{}, 0
	c.Unlearn.Sections = c.Unlearn.Sections.only(c.Unlearn.Method)
	// Of settings that came later the defaults are left out, so that digests stay what they were.
	if c.Collective.Algorithm == "auto" {
		c.Collective.Algorithm = ""
	}
	if c.Collective.Wire == "float32" {
		c.Collective.Wire = ""
	}
	return c
}

// Digest identifies everything that must be equal on all workers, and in all
// sessions of a resumed run.
// A field that is added changes every digest, and so makes all stages of resumed runs
// anew, unless Shared empties it and its tag says digest:"none"; a method's own section
// changes those of its runs alone.
func (c Config) Digest() string {
	var b bytes.Buffer
	c.Shared().write(&b, false)
	sum := sha256.Sum256(b.Bytes())
	return hex.EncodeToString(sum[:])
}

// For is the configuration as far as the outcome of a stage depends on it: what
// a resumed run keeps of one that had other settings. How people are evaluated
// changes no weights, how they are unlearned no model made before. Where files are
// is left out, since what is in them is recorded, and so is what no result
// depends on.
//
// Whatever is not left out below counts: a new field makes stages again until it is
// named here, which costs time and never a wrong result.
func (c Config) For(stage string) Config {
	c.Name, c.Out, c.Checkpoint, c.Collective.Timeout = "", "", Checkpoint{}, 0
	c.Data.Dir, c.Data.Profiles, c.Data.Splits, c.Unlearn.Instruction.File = "", "", "", ""
	c.Model.Base, c.Model.Vanilla, c.Model.Gold = "", "", ""
	if stage == "data" {
		c = Config{Seed: c.Seed, Data: c.Data}
		// Both choose among people of a benchmark that is made already.
		c.Data.EvalPeople, c.Data.Retain = 0, ""
		return c
	}
	c.Data.People, c.Data.Celebrities, c.Data.Views = 0, 0, 0 // who they are is in the files
	switch _, evaluation := strings.CutPrefix(stage, "eval-"); {
	// An evaluation depends on the files of its model, however that was trained.
	case evaluation:
		c.Train, c.Unlearn = Train{}, Unlearn{}
	case stage == "teacher":
		c.Train, c.Unlearn = Train{}, Unlearn{Noise: c.Unlearn.Noise, Instruction: c.Unlearn.Instruction}
	case stage == "unlearned":
		c.Eval, c.Data.EvalPeople, c.Train = Eval{}, 0, Train{}
	case stage == "base" || stage == "vanilla" || stage == "gold":
		c.Eval, c.Data.EvalPeople, c.Unlearn = Eval{}, 0, Unlearn{}
	}
	return c
}

// Lines lists every setting as "dotted.path: value", in the order of Fields.
// Configurations of workers are compared by them (Settings).
func (c Config) Lines() []string {
	var out []string
	_ = walk(reflect.ValueOf(c), "", func(path string, _ reflect.StructField, v reflect.Value) error {
		if v.Kind() != reflect.Struct {
			out = append(out, path+": "+format(v))
		}
		return nil
	})
	return out
}

// WriteYAML prints the whole configuration as a file that Load reads back,
// with every field's comment when docs is set.
func (c Config) WriteYAML(w io.Writer, docs bool) error {
	var b bytes.Buffer
	c.write(&b, docs)
	_, err := w.Write(b.Bytes())
	return err
}

// The digest is over this text, so a change of a number's form would make every run another one.
func (c Config) write(b *bytes.Buffer, docs bool) {
	_ = walk(reflect.ValueOf(c), "", func(path string, f reflect.StructField, v reflect.Value) error {
		indent := strings.Repeat("  ", strings.Count(path, "."))
		name := f.Tag.Get("yaml")
		// A setting that came later: Shared empties it where no result depends on it, and
		// digests stay what they were before there was such a setting. Where people read, an
		// empty group is shown with its members.
		if f.Tag.Get("digest") == "none" && v.IsZero() && !docs {
			return nil
		}
		if v.Kind() == reflect.Struct {
			fmt.Fprintf(b, "%s%s:\n", indent, name)
			return nil
		}
		if doc := describe(path, f); docs {
			if values := allowed(path, f); values != nil {
				doc += " (" + strings.Join(values, " | ") + ")"
			}
			fmt.Fprintf(b, "%s# %s\n", indent, doc)
		}
		fmt.Fprintf(b, "%s%s: %s\n", indent, name, format(v))
		return nil
	})
}

// walk visits every field, groups before their members. Fields of an embedded
// struct are fields of the struct around it.
// An error of visit ends the walk and is given as it is.
func walk(v reflect.Value, prefix string, visit func(string, reflect.StructField, reflect.Value) error) error {
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		if s, ok := v.Field(i).Interface().(Sections); ok {
			if err := s.walk(prefix, visit); err != nil {
				return err
			}
			continue
		}
		if f.Anonymous {
			if err := walk(v.Field(i), prefix, visit); err != nil {
				return err
			}
			continue
		}
		path := prefix + f.Tag.Get("yaml")
		if err := visit(path, f, v.Field(i)); err != nil {
			return err
		}
		if v.Field(i).Kind() == reflect.Struct {
			if err := walk(v.Field(i), path+".", visit); err != nil {
				return err
			}
		}
	}
	return nil
}

// format prints a value as YAML.
// Load reads it back to the same value: texts are quoted whatever they hold, and numbers
// have as many digits as tell them apart.
func format(v reflect.Value) string {
	if d, ok := v.Interface().(time.Duration); ok {
		return d.String()
	}
	switch v.Kind() {
	case reflect.String:
		return strconv.Quote(v.String())
	case reflect.Slice:
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = strconv.Quote(v.Index(i).String())
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case reflect.Float64:
		s := strconv.FormatFloat(v.Float(), 'g', -1, 64)
		if digits, power, ok := strings.Cut(s, "e"); ok && !strings.Contains(digits, ".") {
			s = digits + ".0e" + power // 2e-05 is a text to YAML 1.1, so to PyYAML
		}
		return s
	}
	return fmt.Sprint(v.Interface())
}

// number is a field that limits can be given for.
// It panics at any other kind: a limit there is a mistake in the tags.
func number(v reflect.Value) float64 {
	switch v.Kind() {
	case reflect.Int:
		return float64(v.Int())
	case reflect.Float64:
		return v.Float()
	}
	panic("config: limit on a field that is not a number")
}

func parse64(s string) float64 {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		panic("config: limit " + s)
	}
	return f
}
