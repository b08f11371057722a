package plainjson

import (
	"strings"
	"testing"
)

func TestUnmarshalSaysWhatStandsThere(t *testing.T) {
	type inner struct {
		Size  int     `json:"size"`
		Eps   float64 `json:"eps"`
		Names []string
		Tied  bool `json:"tied"`
	}
	for _, tc := range []struct{ file, want string }{
		{``, "empty, where JSON should stand"},
		{" \n", "empty, where JSON should stand"},
		{`{"in": {"size": 1`, "not valid JSON at byte 17 (unexpected end of JSON input)"},
		{`<p>`, "not valid JSON at byte 1 (invalid character '<' looking for beginning of value)"},
		{`<html>`, "a web page, as a download gives that was refused; fetch the file again, signed in where that is asked for (files of a hub are under /resolve/ where its pages are under /blob/)"},
		{"{\"in\": {\"Names\": [\"K\xf6ln\"]}}", "byte 21 (0xF6) is no UTF-8, as in a file of another encoding (Windows-1252, GBK …); save the file as UTF-8"},
		{"\xff\xfe{\x00}\x00", "this is UTF-16; save the file as UTF-8"},
		{`{"in": {"Names": ["\udc00"]}}`, `\udc00 at byte 20 is half a character, as is left where a text was cut; take it out`},
		{`[1]`, "array where an object should stand"},
		{`{"in": {"size": "many"}}`, "in.size: string where a whole number should stand"},
		{`{"in": {"size": 1.5}}`, "in.size: number 1.5 where a whole number should stand"},
		{`{"in": {"eps": []}}`, "in.eps: array where a number should stand"},
		{`{"in": {"Names": {}}}`, "in.Names: object where a list should stand"},
		{`{"in": {"Names": [3]}}`, "in.Names: number where a string should stand"},
		{`{"in": {"tied": "no"}}`, "in.tied: string where true or false should stand"},
	} {
		var v struct {
			In inner `json:"in"`
		}
		err := Unmarshal([]byte(tc.file), &v)
		if err == nil || err.Error() != tc.want {
			t.Errorf("%s: %v, want %s", tc.file, err, tc.want)
		}
		if err != nil && strings.Contains(err.Error(), "Go ") {
			t.Errorf("%s: speaks of Go: %v", tc.file, err)
		}
	}
	var n struct{ A int }
	if err := Unmarshal([]byte(`{"A": 3}`), &n); err != nil || n.A != 3 {
		t.Errorf("%+v, %v", n, err)
	}
}

func TestOneLine(t *testing.T) {
	for value, want := range map[string]string{
		"[\n    5,\n    9\n  ]":                 "[5, 9]",
		"{\n \"a\": [1,2], \"b\":\t\"x, y:z\"}": `{"a": [1, 2], "b": "x, y:z"}`,
		`"q\"a,b\\"`:                            `"q\"a,b\\"`,
		"true":                                  "true",
		"":                                      "",
		"not\n  json":                           "not json",
		`"` + strings.Repeat("é", 200) + `"`:    `"` + strings.Repeat("é", 119) + "…",
	} {
		if got := OneLine([]byte(value)); got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}
