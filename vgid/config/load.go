package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// OverrideError is an override that a configuration cannot take, by the path that it was
// given for.
type OverrideError struct {
	Path string
	Err  error
}

func (e *OverrideError) Error() string { return e.Path + ": " + e.Err.Error() }

func (e *OverrideError) Unwrap() error { return e.Err }

// Load makes a configuration from, in rising order of strength: the defaults,
// the preset, the YAML source (a file, or the name of a built-in), and
// overrides (dotted field path → value, from flags).
//
// An error says where the value stands: file and line, or the path (OverrideError). What
// spans fields is checked last (Validate), on what all of them came to.
func Load(source string, overrides map[string]string) (Config, error) {
	c := Default()
	var doc *yaml.Node
	if source != "" {
		raw, name, err := read(source)
		if err != nil {
			return c, err
		}
		if doc, err = parse(raw, name); err != nil {
			return c, err
		}
	}
	// Twice: the first pass learns which preset is asked for, the second lets
	// explicit values win over what the preset says.
	for pass := range 2 {
		if pass == 1 {
			preset := c.Unlearn.Preset
			c = Default()
			c.ApplyPreset(preset)
		}
		if doc != nil {
			if err := assign(reflect.ValueOf(&c).Elem(), doc, "", source); err != nil {
				return c, err
			}
		}
		for path, v := range overrides {
			if err := c.Set(path, v); err != nil {
				return c, &OverrideError{path, err}
			}
		}
	}
	return c, c.Validate()
}

// read takes a file before a built-in configuration. What looks like a path is never the name of
// one, so that a misspelt file is reported as missing.
func read(source string) (raw []byte, name string, err error) {
	raw, err = os.ReadFile(source)
	if err == nil {
		return raw, source, nil
	}
	if strings.ContainsAny(source, `/\.`) || !os.IsNotExist(err) {
		return nil, "", fmt.Errorf("config %s: %w", source, err)
	}
	raw, err = builtinFile(source)
	return raw, source, err
}

// parse gives the nodes and not values: they know their lines.
func parse(raw []byte, name string) (*yaml.Node, error) {
	var doc, more yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(raw))
	err := d.Decode(&doc)
	if errors.Is(err, io.EOF) || err == nil && len(doc.Content) == 0 {
		return nil, nil // an empty file sets nothing
	}
	if err != nil {
		return nil, fmt.Errorf("config %s: %w", name, err)
	}
	if !errors.Is(d.Decode(&more), io.EOF) {
		return nil, fmt.Errorf("config %s: only one document is read, and another begins with ---; leave one", name)
	}
	return doc.Content[0], nil
}

// assign walks a YAML mapping and the struct side by side, so that an error
// can say the line and an unknown key can be answered with the nearest name.
// It writes only what the file names: the rest keeps its default.
func assign(v reflect.Value, n *yaml.Node, path, file string) error {
	at := func(n *yaml.Node) string { return fmt.Sprintf("%s:%d", file, n.Line) }
	switch {
	case n.Kind == yaml.AliasNode:
		return fmt.Errorf("%s: aliases (*%s) are not read; write the values out", at(n), n.Value)
	case v.Kind() == reflect.Struct && n.Kind != yaml.MappingNode && path == "":
		return fmt.Errorf("%s: this is no configuration; the file needs lines like seed: 1", at(n))
	case v.Kind() == reflect.Struct && n.Kind != yaml.MappingNode:
		return fmt.Errorf("%s: %s needs fields below it, not a single value", at(n), strings.TrimSuffix(path, "."))
	}
	if v.Kind() == reflect.Struct {
		return assignGroup(v, n, path, file)
	}
	path = strings.TrimSuffix(path, ".")
	if v.Kind() == reflect.Slice {
		if n.Kind != yaml.SequenceNode {
			return fmt.Errorf("%s: %s needs a list", at(n), path)
		}
		out := make([]string, 0, len(n.Content))
		for _, e := range n.Content {
			if e.Kind != yaml.ScalarNode || isNull(e) {
				return fmt.Errorf("%s: %s needs a list of single values", at(e), path)
			}
			out = append(out, e.Value)
		}
		v.Set(reflect.ValueOf(out))
		return nil
	}
	if n.Kind != yaml.ScalarNode {
		return fmt.Errorf("%s: %s needs a single value", at(n), path)
	}
	if isNull(n) {
		return fmt.Errorf("%s: %s is null, which is no value; leave the line out for the default, or write \"\" for an empty text", at(n), path)
	}
	if err := setScalar(v, n.Value); err != nil {
		return fmt.Errorf("%s: %s: %w", at(n), path, err)
	}
	return nil
}

// assignGroup is assign for a group of fields.
func assignGroup(v reflect.Value, n *yaml.Node, path, file string) error {
	at := func(n *yaml.Node) string { return fmt.Sprintf("%s:%d", file, n.Line) }
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i].Value
		if seen[key] {
			return fmt.Errorf("%s: key %q stands here for the second time; leave one", at(n.Content[i]), key)
		}
		seen[key] = true
		f := fieldByName(v, key)
		if !f.IsValid() {
			where := "at the top level"
			if path != "" {
				where = "in " + strings.TrimSuffix(path, ".")
			}
			return fmt.Errorf("%s: unknown key %q %s%s", at(n.Content[i]), key, where, DidYouMean(key, fieldNames(v)))
		}
		if err := assign(f.Value, n.Content[i+1], path+key+".", file); err != nil {
			return err
		}
		f.put()
	}
	return nil
}

// isNull reports null or ~; nothing at all is an empty text.
func isNull(n *yaml.Node) bool { return n.ShortTag() == "!!null" && n.Value != "" }

// Set assigns one field by its dotted path; lists are as SplitList takes them.
// A value is parsed, not checked against the field's limits: that is Validate's.
func (c *Config) Set(path, value string) error {
	keys := strings.Split(path, ".")
	return set(reflect.ValueOf(c).Elem(), keys, value)
}

// set assigns the field that keys lead to from v.
func set(v reflect.Value, keys []string, value string) error {
	if len(keys) > 0 {
		if v.Kind() != reflect.Struct {
			return fmt.Errorf("no such field")
		}
		f := fieldByName(v, keys[0])
		if !f.IsValid() {
			return fmt.Errorf("no such field%s", DidYouMean(keys[0], fieldNames(v)))
		}
		if err := set(f.Value, keys[1:], value); err != nil {
			return err
		}
		f.put()
		return nil
	}
	switch v.Kind() {
	case reflect.Struct:
		return fmt.Errorf("is a group of fields, not a field")
	case reflect.Slice:
		out, err := SplitList(value)
		if err != nil {
			return err
		}
		v.Set(reflect.ValueOf(out))
		return nil
	}
	return setScalar(v, value)
}

// ListHelp says how SplitList is written to.
const ListHelp = "a list: a,b or, where values hold commas, ['a', 'b']; re: and an expression is one value"

// SplitList reads a list of a command line: values between commas, or a list in
// brackets as the file has it. An expression may hold commas: from re: at the
// beginning of a value on, everything is one.
func SplitList(value string) ([]string, error) {
	out := []string{}
	if value = strings.TrimSpace(value); strings.HasPrefix(value, "[") {
		if err := yaml.Unmarshal([]byte(value), &out); err != nil {
			return nil, fmt.Errorf("%q is no list in brackets, as ['a', 'b'] is", value)
		}
		return out, nil
	}
	for value != "" && !strings.HasPrefix(value, "re:") {
		e, rest, _ := strings.Cut(value, ",")
		if e = strings.TrimSpace(e); e != "" {
			out = append(out, e)
		}
		value = strings.TrimSpace(rest)
	}
	if value != "" {
		out = append(out, value)
	}
	return out, nil
}

// setScalar parses a text into a field. Infinities and NaN are refused, so that nobody who
// uses a field has to look for them.
func setScalar(v reflect.Value, s string) error {
	if v.Type() == reflect.TypeFor[time.Duration]() {
		d, err := time.ParseDuration(s)
		if err != nil {
			return fmt.Errorf("%q is not a duration such as 30s or 2m", s)
		}
		v.SetInt(int64(d))
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(s)
	case reflect.Bool:
		b, err := strconv.ParseBool(s)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", s)
		}
		v.SetBool(b)
	case reflect.Int:
		i, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", s)
		}
		v.SetInt(i)
	case reflect.Uint64:
		u, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			return fmt.Errorf("%q is not a whole number from 0 on", s)
		}
		v.SetUint(u)
	case reflect.Float64:
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return fmt.Errorf("%q is not a number", s)
		}
		v.SetFloat(f)
	default:
		panic("config: field of unsupported kind " + v.Kind().String())
	}
	return nil
}

// place is a field to write to; put makes what was written the configuration's.
type place struct {
	reflect.Value
	put func()
}

// fieldByName is a field of a struct, of those embedded in it, or a section.
func fieldByName(v reflect.Value, key string) place {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		switch {
		case !f.Anonymous:
			if f.Tag.Get("yaml") == key {
				return place{v.Field(i), func() {}}
			}
		case f.Type == reflect.TypeFor[Sections]():
			if s, put := v.Field(i).Addr().Interface().(*Sections).edit(key); s.IsValid() {
				return place{s, put}
			}
		default:
			if in := fieldByName(v.Field(i), key); in.IsValid() {
				return in
			}
		}
	}
	return place{}
}

// fieldNames are the keys that fieldByName knows.
func fieldNames(v reflect.Value) (names []string) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		switch in := v.Field(i); {
		case !f.Anonymous:
			names = append(names, f.Tag.Get("yaml"))
		case f.Type == reflect.TypeFor[Sections]():
			names = append(names, in.Interface().(Sections).names()...)
		default:
			names = append(names, fieldNames(in)...)
		}
	}
	return names
}

// DidYouMean is the end of an error about an unknown name: the nearest of the
// known ones, or all of them when none is near.
func DidYouMean(name string, known []string) string {
	if near := Nearest(name, known); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return "; known here: " + strings.Join(known, ", ")
}

// Nearest is the known name nearest to name, when one is near enough to be a
// slip of the fingers, and "" otherwise.
// Near enough is half of the letters or fewer wrong, by insertions, deletions and
// replacements.
func Nearest(name string, known []string) string {
	best, dist := "", len(name)/2+1
	for _, n := range known {
		if d := editDistance(strings.ToLower(name), n); d < dist {
			best, dist = n, d
		}
	}
	return best
}

// editDistance is Levenshtein's, in bytes: keys are ASCII.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diag := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diag
			if a[i] != b[j] {
				cost++
			}
			diag = row[j+1]
			row[j+1] = min(cost, row[j]+1, diag+1)
		}
	}
	return row[len(b)]
}
