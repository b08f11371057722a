package plainjson

import (
	"bytes"
	"encoding/json"
)

// List is a field that holds a list or, where there is one value, often that
// value alone: 2 for [2], null for none. It is written as a list.
type List[T any] []T

// UnmarshalJSON reads a value, a list of them, or null.
func (l *List[T]) UnmarshalJSON(b []byte) error { return oneOrMany(b, (*[]T)(l)) }

// OneOrMany is a List that is written as such fields are: one value alone.
type OneOrMany[T any] []T

// UnmarshalJSON reads a value, a list of them, or null.
func (l *OneOrMany[T]) UnmarshalJSON(b []byte) error { return oneOrMany(b, (*[]T)(l)) }

// MarshalJSON writes a single value without a list around it.
func (l OneOrMany[T]) MarshalJSON() ([]byte, error) {
	if len(l) == 1 {
		return json.Marshal(l[0])
	}
	return json.Marshal([]T(l))
}

// An empty list stays one; null gives nil.
func oneOrMany[T any](b []byte, out *[]T) error {
	*out = nil
	if b = bytes.TrimSpace(b); len(b) > 0 && b[0] == '[' || string(b) == "null" {
		return json.Unmarshal(b, out)
	}
	one := make([]T, 1)
	if err := json.Unmarshal(b, &one[0]); err != nil {
		return err
	}
	*out = one
	return nil
}

// IsNull reports whether an optional field is absent or null.
func IsNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }
