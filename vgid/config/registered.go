package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// What other packages bring to the configuration: the values that a field may have,
// and groups of settings. They are made known while packages are initialised, by a
// registry that lies above this package, and never after, so nothing guards them.
var (
	choices  = map[string]func() []Value{}
	sections = map[string]any{} // name → defaults, a struct
)

// Value is one that a field may have.
type Value struct {
	Name string
	Doc  string // what it means, in a line; may be empty
	// Needs are the paths of settings that it cannot do without: where such a setting is
	// at odds with another, no error advises to set it to 0.
	Needs []string
}

// Choose makes a field's values those that a registry lists, for example all
// unlearning methods. A program that links no registry of the field takes any
// value; whoever looks it up refuses it.
// values is asked each time, since others may register after it was given.
func Choose(path string, values func() []Value) {
	if choices[path] != nil {
		panic("config: the values of " + path + " are registered twice")
	}
	choices[path] = values
}

// chosen is a registered value of a field by its name; without registry, one that
// needs nothing.
func chosen(path, name string) Value {
	if registered := choices[path]; registered != nil {
		for _, v := range registered() {
			if v.Name == name {
				return v
			}
		}
	}
	return Value{Name: name}
}

// allowed are the values that a field may have; none of one that may have any.
func allowed(path string, f reflect.StructField) []string {
	if registered := choices[path]; registered != nil {
		var names []string
		for _, v := range registered() {
			names = append(names, v.Name)
		}
		return names
	}
	if tag := f.Tag.Get("oneof"); tag != "" {
		return strings.Split(tag, ",")
	}
	return nil
}

// describe is what a field means, with what its registered values do.
func describe(path string, f reflect.StructField) string {
	doc := f.Tag.Get("doc")
	if registered := choices[path]; registered != nil {
		for _, v := range registered() {
			if v.Doc != "" {
				doc += "; " + v.Name + ": " + v.Doc
			}
		}
	}
	return doc
}

// Sections are the settings that unlearning methods bring themselves, each below the
// name of its method: unlearn.NAME. Those of methods that a run does not use are not
// part of its Digest, so that a new method leaves runs of others what they were.
//
// A section is a struct whose fields have the tags of this package's own. Copies of a
// configuration share it, so it is never written to: Set replaces it.
type Sections struct{ of map[string]any }

// RegisterSection makes the settings of a method known, with their defaults: a
// struct.
// It panics on a name that a field of unlearn has, or that is taken.
func RegisterSection(method string, defaults any) {
	if f := fieldByName(reflect.ValueOf(&Unlearn{}).Elem(), method); f.IsValid() || sections[method] != nil || reflect.TypeOf(defaults).Kind() != reflect.Struct {
		panic("config: unlearn." + method + " is taken, or is registered with no struct")
	}
	sections[method] = defaults
}

// Section is the settings of a method, as it registered them: its defaults where the
// configuration has none.
func Section[T any](u Unlearn, method string) T {
	if v, ok := u.Sections.of[method]; ok {
		return v.(T)
	}
	return sections[method].(T)
}

// defaultSections are those of all methods.
func defaultSections() Sections { return Sections{maps.Clone(sections)} }

// only leaves out the settings of all methods but one.
func (s Sections) only(method string) Sections {
	out := Sections{map[string]any{}}
	if v, ok := s.of[method]; ok {
		out.of[method] = v
	}
	return out
}

func (s Sections) names() []string { return slices.Sorted(maps.Keys(s.of)) }

// walk visits the sections by name, as walk does the fields of a struct.
func (s Sections) walk(prefix string, visit func(string, reflect.StructField, reflect.Value) error) error {
	for _, name := range s.names() {
		v := reflect.ValueOf(s.of[name])
		group := reflect.StructField{Name: name, Type: v.Type(), Tag: reflect.StructTag(`yaml:"` + name + `"`)}
		if err := visit(prefix+name, group, v); err != nil {
			return err
		}
		if err := walk(v, prefix+name+".", visit); err != nil {
			return err
		}
	}
	return nil
}

// edit gives a copy of a section to write to, and what puts it in place.
// An unknown name gives the zero value. Nothing changes before put is called, which changes
// no other copy of the configuration.
func (s *Sections) edit(name string) (v reflect.Value, put func()) {
	was, ok := s.of[name]
	if !ok {
		return reflect.Value{}, nil
	}
	v = reflect.New(reflect.TypeOf(was)).Elem()
	v.Set(reflect.ValueOf(was))
	return v, func() {
		s.of = maps.Clone(s.of)
		s.of[name] = v.Interface()
	}
}
