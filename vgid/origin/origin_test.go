package origin

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestWordsNameTheFirstChange(t *testing.T) {
	data := File{"set forget_5", "forget_5/a.parquet", 10, "aa"}
	weights := File{"weights", "model.safetensors", 20, "bb"}
	other := func(f File, change func(*File)) File { change(&f); return f }
	for _, tc := range []struct {
		name     string
		was, now List
		want     string // nothing: no change
	}{
		{"nothing", List{data, weights}, List{data, weights}, ""},
		{"the order", List{data, weights}, List{weights, data}, ""},
		{"another content", List{data, weights}, List{other(data, func(f *File) { f.SHA256 = "cc" }), weights}, "forget_5/a.parquet (set forget_5) has changed"},
		{"another size", List{data}, List{other(data, func(f *File) { f.Size = 11 })}, "forget_5/a.parquet (set forget_5) has changed"},
		{"a file more", List{data}, List{data, weights}, "model.safetensors (weights) is new"},
		{"a file less", List{data, weights}, List{weights}, "forget_5/a.parquet (set forget_5) is gone"},
		{"two", List{data, weights}, List{other(data, func(f *File) { f.SHA256 = "" }), other(weights, func(f *File) { f.SHA256 = "" })},
			"forget_5/a.parquet (set forget_5) has changed, and 1 more file is not as it was"},
		{"three", List{data, weights}, List{other(data, func(f *File) { f.Name = "b" })},
			"b (set forget_5) is new, and 2 more files are not as they were"},
		{"another purpose", List{weights}, List{other(weights, func(f *File) { f.For = "config" })},
			"model.safetensors (config) is new, and 1 more file is not as it was"},
	} {
		c := tc.was.Changes(tc.now)
		got := ""
		if len(c) > 0 {
			got = Words(c)
		}
		if got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

// A manifest comes out as it went in, whatever plain names it holds.
func TestManifestRoundTrip(t *testing.T) {
	part := rapid.StringMatching(`[a-zA-Z0-9_-][a-zA-Z0-9_.é -]{0,20}`)
	rapid.Check(t, func(t *rapid.T) {
		m := Manifest{Folder: strings.Join(rapid.SliceOfN(part, 1, 3).Draw(t, "folder"), "/")}
		for i := range rapid.IntRange(0, 8).Draw(t, "files") {
			m.Files = append(m.Files, File{
				Name: m.Folder + "/" + part.Draw(t, "dir") + "/f" + string(rune('a'+i)), Size: rapid.Int64Range(0, maxSize).Draw(t, "size"),
				SHA256: rapid.StringMatching(`[0-9a-f]{64}`).Draw(t, "sum"),
			})
		}
		for i := range m.Files {
			for k := range i {
				if m.Files[i].Name == m.Files[k].Name {
					t.Skip("twice")
				}
			}
		}
		b, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := DecodeManifest(b)
		if err != nil {
			t.Fatal(err)
		}
		if back.Folder != m.Folder || len(back.Files) != len(m.Files) || len(m.Files.Changes(back.Files)) > 0 {
			t.Fatalf("%v came back as %v", m, back)
		}
	})
}

// Names of another machine never lead out of the folder.
func TestManifestIsRefused(t *testing.T) {
	sum := strings.Repeat("0", 64)
	file := func(name string) string { return `{"name":"` + name + `","size":1,"sha256":"` + sum + `"}` }
	list := func(folder string, files ...string) string {
		return `{"folder":"` + folder + `","files":[` + strings.Join(files, ",") + `]}`
	}
	if _, err := DecodeManifest([]byte(list("data", file("data/a"), file("data/b/c")))); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ in, want string }{
		{`[]`, "cannot be read"},
		{`{"folder":`, "cannot be read"},
		{`{}`, "no plain path"},
		{list(""), "no plain path"},
		{list("."), "hidden"},
		{list("/etc"), "no plain path"},
		{list(".."), "no plain path"},
		{list("data", file("data/../../x")), "no plain path"},
		{list("data", file("/data/x")), "no plain path"},
		{list("data", file("data//x")), "no plain path"},
		{list("data", file("data/./x")), "no plain path"},
		{list("data", file("data/")), "no plain path"},
		{list("data", file(`data/..\\..\\x`)), "no plain path"},
		{list("data", file(`data/C:x`)), "no plain path"},
		{list("data", file(`data/a\u0000b`)), "no plain path"},
		{list("data", file("data/.x")), "hidden"},
		{list("data", file("data/.x/y")), "hidden"},
		{list(".data", file(".data/x")), "hidden"},
		{list("data", file("other/x")), "not in the folder"},
		{list("data", file("data")), "not in the folder"},
		{list("data", file("database/x")), "not in the folder"},
		{list("data", file("data/x"), file("data/x")), "twice"},
		{list("data", file("data/x"), file("data/x/y")), "a file and a folder"},
		{list("data", file("data/"+strings.Repeat("x", maxName))), "bytes, more than"},
		{list("data", `{"name":"data/x","size":-1,"sha256":"`+sum+`"}`), "-1 bytes"},
		{list("data", `{"name":"data/x","size":99999999999999,"sha256":"`+sum+`"}`), "99999999999999 bytes"},
		{list("data", `{"name":"data/x","size":1,"sha256":"`+sum[1:]+`"}`), "no SHA-256"},
		{list("data", `{"name":"data/x","size":1,"sha256":"`+sum[1:]+`G"}`), "no SHA-256"},
	} {
		if m, err := DecodeManifest([]byte(tc.in)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%.120s: %v, error %v, want one with %q", tc.in, m, err, tc.want)
		}
	}
	m := Manifest{Folder: "data", Files: make(List, maxFiles+1)}
	if _, err := m.Encode(); err == nil {
		t.Error("a list of too many files is sent")
	}
}
