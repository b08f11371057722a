package filekind

import (
	"strings"
	"testing"
)

func TestOf(t *testing.T) {
	const lfs = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 4976698672\n"
	for _, c := range []struct{ head, want string }{
		{lfs, "a git-lfs pointer that stands for a file of 4976698672 bytes"},
		{strings.Replace(lfs, "oid", "ext-0-foo sha256:00\noid", 1), "of 4976698672 bytes"},
		{lfs[:30], "a git-lfs pointer and not the file it stands for"},
		{"version https://git-lfs.github.com/spec/v1\n", "a git-lfs pointer and not"},
		{"version 1 of what is no pointer\n", ""},
		{"PAR1\xff\x00/annex/objects/", ""},
		{"../.git/annex/objects/ab/cd/SHA256E-s9--0.safetensors\n", "a git-annex pointer"},
		{"<!DOCTYPE html>\n<html>", "a web page"},
		{"\uFEFF\n <HTML lang=en>", "a web page"},
		{"GGUF\x03\x00", "a GGUF file"},
		{"PK\x03\x04\x00", "a zip archive"},
		{"\x89HDF\r\n\x1a\n", "an HDF5 file"},
		{"", ""}, {`{"a": 1}`, ""}, {"\x40\x00\x00\x00\x00\x00\x00\x00{\"", ""}, {"PAR1", ""},
	} {
		got := Of([]byte(c.head))
		if !strings.Contains(got, c.want) || (c.want == "") != (got == "") {
			t.Errorf("%q: %q, want %q", c.head, got, c.want)
		}
	}
}

// In place of what is no model, a model in another format is no stand-in.
func TestStandIn(t *testing.T) {
	for head, want := range map[string]string{"GGUF\x03": "", "PK\x03\x04": "", "<!DOCTYPE html>": "a web page", "": ""} {
		if got := StandIn([]byte(head)); !strings.HasPrefix(got, want) || (want == "") != (got == "") {
			t.Errorf("%q: %q, want %q", head, got, want)
		}
	}
}
