package mllmu

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"vgid/model/kit/hftest"
)

// oneRow is a parquet file of the training layout with one person.
func oneRow(t *testing.T, id string) string {
	t.Helper()
	var b bytes.Buffer
	w := parquet.NewGenericWriter[trainRow](&b)
	if _, err := w.Write([]trainRow{{Image: imageCell{Bytes: []byte("x")}, ID: id, Metadata: `[{"Question":"q","Answer":"a"}]`}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 99\n"

// Folders as they lie on disks after a download, a conversion, an export.
func TestLayouts(t *testing.T) {
	const row = "a row" // in its place a parquet file whose person is named after the file
	for name, c := range map[string]struct {
		files map[string]string
		ids   string // the persons of set x in order, or
		bad   string // a part of the error
	}{
		"a folder a set":                {files: map[string]string{"x/train-00000-of-00002.parquet": row, "x/train-00001-of-00002.parquet": row, "y/a.parquet": row}, ids: "x/train-00000-of-00002 x/train-00001-of-00002"},
		"data/":                         {files: map[string]string{"data/x-00000-of-00001.parquet": row, "data/y-00000-of-00001.parquet": row}, ids: "data/x-00000-of-00001"},
		"data/ with hashes":             {files: map[string]string{"data/x-00000-of-00002-9f.parquet": row, "data/x-00001-of-00002-1a.parquet": row}, ids: "data/x-00000-of-00002-9f data/x-00001-of-00002-1a"},
		"folders in data/":              {files: map[string]string{"data/x/train-00000-of-00001.parquet": row}, ids: "data/x/train-00000-of-00001"},
		"files named after sets":        {files: map[string]string{"x.parquet": row, "y.parquet": row}, ids: "x"},
		"the hub's conversion":          {files: map[string]string{"x/train/0000.parquet": row, "x/train/0001.parquet": row}, ids: "x/train/0000 x/train/0001"},
		"its default":                   {files: map[string]string{"default/x/0000.parquet": row}, ids: "default/x/0000"},
		"a gap in it":                   {files: map[string]string{"x/train/0000.parquet": row, "x/train/0002.parquet": row}, bad: "0001.parquet is missing before 0002.parquet"},
		"a part of it":                  {files: map[string]string{"x/partial-train/0000.parquet": row}, bad: "converted only a part"},
		"two splits in it":              {files: map[string]string{"x/train/0000.parquet": row, "x/test/0000.parquet": row}, bad: "holds several splits, test, train"},
		"Spark":                         {files: map[string]string{"x.parquet/part-00000-5b-c000.snappy.parquet": row, "x.parquet/_SUCCESS": "", "x.parquet/._SUCCESS.crc": "c", "x.parquet/_temporary/0/a.parquet": "z"}, ids: "x.parquet/part-00000-5b-c000.snappy"},
		"hidden files":                  {files: map[string]string{"x/a.parquet": row, "x/._a.parquet": "m", "x/_b.parquet": "m", ".x/a.parquet": "m", "._x": "m", ".DS_Store": "m"}, ids: "x/a"},
		"hidden folder":                 {files: map[string]string{"x/a.parquet": row, ".cache/huggingface/download/x/q.incomplete": "", "__MACOSX/x/._a.parquet": "m"}, ids: "x/a"},
		"twice":                         {files: map[string]string{"x/a.parquet": row, "data/x-00000-of-00001.parquet": row}, bad: "it is there twice"},
		"unfinished":                    {files: map[string]string{"x/a.parquet.incomplete": "PAR1", "y/a.parquet": row}, bad: "a.parquet.incomplete is an unfinished download; fetch a.parquet again"},
		"unfinished part":               {files: map[string]string{"x/t-00000-of-00002.parquet": row, "x/t-00001-of-00002.parquet.crdownload": "PAR1"}, bad: "t-00001-of-00002.parquet.crdownload is an unfinished download"},
		"room taken":                    {files: map[string]string{"x/a.parquet": row, "x/a.parquet.aria2": "m"}, bad: "a.parquet.aria2 is an unfinished download"},
		"left over":                     {files: map[string]string{"x/a.parquet": row, "x/a.parquet.incomplete": "PAR1"}, ids: "x/a"},
		"one set given":                 {files: map[string]string{"train-00000-of-00001.parquet": row}, bad: "it looks like the folder of one set: give the folder around it"},
		"further down":                  {files: map[string]string{"snapshots/0f/x/a.parquet": row, "refs/main": "0f"}, bad: "the sets are further down: give "},
		"save_to_disk":                  {files: map[string]string{"x/data-00000-of-00001.arrow": "ARROW1", "x/state.json": "{}", "dataset_dict.json": "{}"}, bad: "these are Arrow files"},
		"save_to_disk beside parquet":   {files: map[string]string{"x/data-00000-of-00001.arrow": "ARROW1", "y/a.parquet": row}, bad: "these are Arrow files"},
		"download begun":                {files: map[string]string{".cache/huggingface/download/x/q.incomplete": ""}, bad: "a download into it has not ended"},
		"other files":                   {files: map[string]string{"forget_ids.json": "[]", "a.zip": "PK"}, bad: "no parquet files, neither <set>/*.parquet nor data/<set>-00000-of-00001.parquet; run vgid data build, or give another folder; it holds a.zip, forget_ids.json"},
		"a pointer":                     {files: map[string]string{"x/a.parquet": pointer}, bad: "it is a git-lfs pointer that stands for a file of 99 bytes; fetch that with \"git lfs pull\""},
		"a git-annex pointer":           {files: map[string]string{"x/a.parquet": "/annex/objects/SHA256E-s9--0.parquet\n"}, bad: "git annex get"},
		"empty":                         {files: map[string]string{"x/a.parquet": ""}, bad: "it is empty (0 bytes)"},
		"a page":                        {files: map[string]string{"x/a.parquet": "\n<!DOCTYPE html><title>a.parquet</title>"}, bad: "it is a web page"},
		"an answer":                     {files: map[string]string{"x/a.parquet": `{"error":"Invalid username or password."}`}, bad: "it is JSON"},
		"packed":                        {files: map[string]string{"x/a.parquet": "\x1f\x8b\x08\x00abcdefghijk"}, bad: "it is packed as a whole"},
		"Arrow with a wrong name":       {files: map[string]string{"x/a.parquet": "ARROW1\x00\x00abcdefgh"}, bad: "it is an Arrow file"},
		"encrypted":                     {files: map[string]string{"x/a.parquet": "PARE01234567PARE"}, bad: "it is encrypted"},
		"no end":                        {files: map[string]string{"x/a.parquet": "PAR1" + strings.Repeat("z", 99)}, bad: "its end is missing"},
		"something else":                {files: map[string]string{"x/a.parquet": "abc"}, bad: `it begins with "abc"`},
		"of little use in another's":    {files: map[string]string{"x/a.parquet": row, "y/t-00000-of-00002.parquet": row}, ids: "x/a"}, // y is refused when it is asked for
		"a file that is none beside it": {files: map[string]string{"x/a.parquet": row, "x/readme.md": "m", "x/a.parquet.lock": ""}, ids: "x/a"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for f, text := range c.files {
				if text == row {
					text = oneRow(t, strings.TrimSuffix(f, ".parquet"))
				}
				hftest.WriteFile(t, filepath.Join(dir, f), text)
			}
			if c.bad != "" {
				if got := one(t, dir); !strings.Contains(got, c.bad) {
					t.Errorf("error %q does not say %q", got, c.bad)
				}
				return
			}
			b, err := open(dir)
			if err != nil {
				t.Fatal(err)
			}
			ids, err := b.IDs("x")
			if got := strings.Join(ids, " "); err != nil || got != c.ids {
				t.Errorf("%v: %q, want %q", err, got, c.ids)
			}
		})
	}
}

func TestLinksThatLeadNowhere(t *testing.T) {
	dir := t.TempDir()
	hftest.WriteFile(t, filepath.Join(dir, "y", "a.parquet"), oneRow(t, "1"))
	if err := os.Mkdir(filepath.Join(dir, "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"x/a.parquet", "note"} {
		if err := os.Symlink("nothing", filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	b, err := open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Set("y"); err != nil {
		t.Error(err)
	}
	if _, err := b.Set("x"); err == nil || !strings.Contains(err.Error(), "a link that leads nowhere") {
		t.Errorf("got %v", err)
	}
}
