package tokenizer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"vgid/model/kit/plainjson"
)

// object is a JSON object that keeps the order of its fields, in which Python
// reads them: tokens that are new get their ids in it.
// names and fields have the same members; names is in the order of the file, where a field that
// is given twice keeps its first place and its last value, as in Python's dict.
type object struct {
	names  []string
	fields map[string]json.RawMessage
}

// UnmarshalJSON reads field by field: a map would lose their order. null is an object
// without fields.
// The decoder has checked the syntax by then: what fails here is the kind of value.
func (o *object) UnmarshalJSON(b []byte) error {
	*o = object{fields: map[string]json.RawMessage{}}
	if plainjson.IsNull(b) {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return fmt.Errorf("%.20s is no object", b)
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return err
		}
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return err
		}
		o.set(t.(string), v)
	}
	return nil
}

// set gives a field a value; one that is there keeps its place.
func (o *object) set(name string, v json.RawMessage) {
	if _, there := o.fields[name]; !there {
		o.names = append(o.names, name)
	}
	o.fields[name] = v
}

// take is a field, which the object then has no more.
func (o *object) take(name string) (json.RawMessage, bool) {
	v, there := o.fields[name]
	if there {
		delete(o.fields, name)
		o.names = slices.DeleteFunc(o.names, func(n string) bool { return n == name })
	}
	return v, there
}

// clone is a copy that can be taken from.
func (o *object) clone() object {
	c := object{fields: map[string]json.RawMessage{}}
	for _, n := range o.names {
		c.set(n, o.fields[n])
	}
	return c
}

// truth is what Python's bool makes of a field, and whether it is there and not
// null.
// Python tests such fields with if, so that "false", which is a string, is true.
func (o *object) truth(name string) (value, there bool) {
	switch v := string(bytes.TrimSpace(o.fields[name])); v {
	case "", "null":
		return false, false
	case "false", "0", "0.0", `""`, "[]", "{}":
		return false, true
	}
	return true, true
}

// text is a field that is a string, else "".
func (o *object) text(name string) string {
	var s string
	if json.Unmarshal(o.fields[name], &s) != nil {
		return ""
	}
	return s
}
