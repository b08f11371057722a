// Package plainjson is json.Unmarshal for files that people write and fetch:
// its errors say what is wrong in the file's own words, not in Go's types, and
// text that json.Unmarshal would change without a word is an error, too.
package plainjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"vgid/model/kit/filekind"
	"vgid/model/kit/plaintext"
)

// Unmarshal is json.Unmarshal. An error names the byte where JSON ends to be
// JSON, or the field and what stands in it, or the first character that would be
// lost.
func Unmarshal(data []byte, v any) error {
	err := json.Unmarshal(data, v)
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case err == nil:
		return plaintext.CheckJSON(data)
	case len(bytes.TrimSpace(data)) == 0:
		return errors.New("empty, where JSON should stand")
	case errors.As(err, &syntax):
		if other := filekind.Of(data); other != "" {
			return errors.New(other)
		}
		if enc := plaintext.Check(data); enc != nil {
			return enc
		}
		return fmt.Errorf("not valid JSON at byte %d (%w)", syntax.Offset, err)
	case errors.As(err, &kind):
		return fmt.Errorf("%s where %s should stand", found(kind), wanted(kind.Type))
	}
	return err
}

// found is what stands in the file, with its field where that is known.
func found(e *json.UnmarshalTypeError) string {
	word, number, _ := strings.Cut(e.Value, " ")
	if number != "" {
		word = "number " + number
	}
	if e.Field == "" {
		return word
	}
	return e.Field + ": " + word
}

// wanted is the type of a field in the words of JSON; all integers are one.
func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Slice, reflect.Array:
		return "a list"
	}
	return "an object"
}
