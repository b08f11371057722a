package peft

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// ModuleList names modules as PEFT does: a list of names that match a module's
// path or the end of it after a dot, or one regular expression that matches
// whole paths. At most one of the two is set.
// Names nil is null in a file; a list that is empty is written as one.
type ModuleList struct {
	Names   []string
	Pattern string
}

// Empty reports whether nothing is named.
func (t ModuleList) Empty() bool { return t.Pattern == "" && len(t.Names) == 0 }

// MarshalJSON writes a string, a list, or null for nothing, as PEFT does.
func (t ModuleList) MarshalJSON() ([]byte, error) {
	switch {
	case t.Pattern != "":
		return marshalPlain(t.Pattern)
	case t.Names == nil:
		return []byte("null"), nil
	}
	return marshalPlain(t.Names)
}

// UnmarshalJSON accepts a list, a string or null.
func (t *ModuleList) UnmarshalJSON(b []byte) error {
	*t = ModuleList{}
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &t.Pattern)
	}
	return json.Unmarshal(b, &t.Names)
}

// ModuleValue gives modules whose path ends in Pattern, a regular expression,
// a value of their own.
// T is int for ranks and float64 for alphas.
type ModuleValue[T any] struct {
	Pattern string
	Value   T
}

// ModuleValues are tried in order; the first that matches counts. In files they
// are an object whose order matters.
type ModuleValues[T any] []ModuleValue[T]

// MarshalJSON writes an object in order.
func (m ModuleValues[T]) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for i, e := range m {
		key, err := marshalPlain(e.Pattern)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(e.Value)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(append(out, key...), ':'), value...)
	}
	return append(out, '}'), nil
}

// UnmarshalJSON keeps the order of an object; null is no value.
func (m *ModuleValues[T]) UnmarshalJSON(b []byte) error {
	*m = nil
	if string(b) == "null" {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return fmt.Errorf("expected an object of pattern to value")
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		e := ModuleValue[T]{Pattern: key.(string)} // the decoder accepts nothing else as a key
		if err := dec.Decode(&e.Value); err != nil {
			return fmt.Errorf("%q: %w", e.Pattern, err)
		}
		*m = append(*m, e)
	}
	return nil
}

// marshalPlain is JSON that leaves <, > and & readable, for patterns.
func marshalPlain(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}
