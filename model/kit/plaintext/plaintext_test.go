package plaintext

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCheck(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"plain", ""},
		{"Köln – 杭州 🙂", ""},
		{"\uFEFFwith a byte order mark", ""},
		{"\uFFFD is a character, too", ""},
		{"K\xf6ln", "byte 2 (0xF6) is no UTF-8"},
		{"ends in half \xe6\x9d", "byte 14 (0xE6) is no UTF-8"},
		{"\xff\xfeM\x00", "this is UTF-16"},
		{"\xfe\xff\x00M", "this is UTF-16"},
	} {
		err := Check([]byte(c.text))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
}

func TestCheckJSON(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`"a \n \\ \" \u00e9 \u6f22"`, ""},
		{`"\ud83d\ude42"`, ""},
		{`"\\ud83d"`, ""},
		{`"\\\\ud83d\\"`, ""},
		{`"\ud83d"`, `\ud83d at byte 2 is half a character`},
		{`"\ud83d x \ude42"`, `\ud83d at byte 2 is half a character`},
		{`"\ude42"`, `\ude42 at byte 2 is half a character`},
		{`"\ud83d\ud83d\ude42"`, `\ud83d at byte 2 is half a character`},
		{`"\\\ud83d\u0041"`, `\ud83d at byte 4 is half a character`},
		{"\"K\xf6ln\"", "byte 3 (0xF6) is no UTF-8"},
		{`"\`, ""}, {`"\u12`, ""}, {`"\uXYZW"`, ""}, // no JSON: the decoder's to say
	} {
		err := CheckJSON([]byte(c.text))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.text, err, c.want)
		}
	}
}

// FuzzCheckJSON holds CheckJSON to what it is for: of a JSON string that it lets
// through, no character is lost; one that it refuses has lost one.
func FuzzCheckJSON(f *testing.F) {
	for _, s := range []string{`"a"`, `"\ud83d\ude42"`, `"\ud83d"`, `"\\ud83d"`, "\"\xf6\"", `"\uFFFD"`, "\"\uFFFD\""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		err := CheckJSON([]byte(text))
		var s string
		if json.Unmarshal([]byte(text), &s) != nil || strings.Contains(text, "\xff\xfe") || strings.Contains(text, "\xfe\xff") {
			return
		}
		// Written out in full, U+FFFD is a character like any other.
		own := strings.Count(text, "\uFFFD") + strings.Count(strings.ToLower(strings.ReplaceAll(text, `\\`, "")), `\ufffd`)
		if lost := strings.Count(s, string(utf8.RuneError)) != own; lost != (err != nil) {
			t.Errorf("%q reads as %q, and CheckJSON says %v", text, s, err)
		}
	})
}
