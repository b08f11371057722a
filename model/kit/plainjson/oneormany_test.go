package plainjson

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestOneOrManyReads(t *testing.T) {
	for _, tc := range []struct {
		json string
		want []int
	}{
		{`2`, []int{2}}, {` [2] `, []int{2}}, {`[2, 3]`, []int{2, 3}}, {`[]`, []int{}}, {`null`, nil}, {" \n7", []int{7}},
	} {
		// What stood there before must not show through a shorter list.
		list, one := List[int]{8, 9, 10}, OneOrMany[int]{8, 9, 10}
		for _, into := range []struct {
			name string
			read func([]byte) error
			got  *[]int
		}{{"List", list.UnmarshalJSON, (*[]int)(&list)}, {"OneOrMany", one.UnmarshalJSON, (*[]int)(&one)}} {
			if err := into.read([]byte(tc.json)); err != nil {
				t.Errorf("%s of %q: %v", into.name, tc.json, err)
			}
			if !slices.Equal(*into.got, tc.want) || (*into.got == nil) != (tc.want == nil) {
				t.Errorf("%s of %q is %#v, want %#v", into.name, tc.json, *into.got, tc.want)
			}
		}
	}
}

// A value of another kind is an error in the words of Unmarshal, with the field
// where a list is asked for.
func TestOneOrManyRefuses(t *testing.T) {
	for file, want := range map[string]string{
		`{"ids": "two"}`:    "string where a whole number should stand",
		`{"ids": [1, "2"]}`: "string where a whole number should stand",
		`{"ids": 1.5}`:      "number 1.5 where a whole number should stand",
		`{"ids": {}}`:       "object where a whole number should stand",
	} {
		v := struct {
			IDs List[int] `json:"ids"`
		}{}
		if err := Unmarshal([]byte(file), &v); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v, want … %s", file, err, want)
		}
	}
}

// What is written is read as the same list; a List is always written as one, a
// OneOrMany of one value as that value.
func TestOneOrManyWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.String(), 0, 4).Draw(t, "values")
		list, err := json.Marshal(List[string](values))
		if err != nil {
			t.Fatal(err)
		}
		one, err := json.Marshal(OneOrMany[string](values))
		if err != nil {
			t.Fatal(err)
		}
		if list[0] != '[' || (one[0] == '[') != (len(values) != 1) {
			t.Fatalf("%q is written as %s and %s", values, list, one)
		}
		for _, written := range [][]byte{list, one} {
			var got OneOrMany[string]
			if err := json.Unmarshal(written, &got); err != nil || !slices.Equal(got, values) {
				t.Fatalf("%q was written as %s and read as %q, %v", values, written, got, err)
			}
		}
	})
}

func TestIsNull(t *testing.T) {
	var v struct{ Absent, Null, Zero, Empty, Text json.RawMessage }
	if err := json.Unmarshal([]byte(`{"null": null, "zero": 0, "empty": [], "text": "null"}`), &v); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		raw  json.RawMessage
		want bool
	}{"absent": {v.Absent, true}, "null": {v.Null, true}, "zero": {v.Zero, false}, "empty": {v.Empty, false}, "text": {v.Text, false}} {
		if got := IsNull(c.raw); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
