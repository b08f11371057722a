package mllmu

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"vgid/model/kit/hftest"
)

type bothRow struct {
	Image          *imageCell  `parquet:"image,optional"`
	Images         []imageCell `parquet:"images,optional,list"`
	ID             string
	Meta           string           `parquet:"metadata,optional"`
	Classification *choiceCells     `parquet:"Classification_Task,optional"`
	Generation     []generationCell `parquet:"Generation_Task,optional,list"`
	Mask           []generationCell `parquet:"Mask_Task,optional,list"`
}

const twoWords = `[{"Question":"q","Answer":"a"}]`

// Sets that were put together have the columns of both, null where the other's are.
func TestNullColumnsAreNone(t *testing.T) {
	img := imageCell{Bytes: []byte("x"), Path: "p"}
	asked := &choiceCells{PureText: []choiceCell{{CorrectAnswer: "A", Question: "q", Options: optionCells{"a", "b", "c", "d"}}}}
	for name, c := range map[string]struct {
		row                 bothRow
		images, eval, train int
		bad                 string
	}{
		"image":            {row: bothRow{Image: &img, Meta: twoWords}, images: 1, train: 1},
		"images":           {row: bothRow{Images: []imageCell{img, img}, Meta: twoWords}, images: 2, train: 1},
		"image, no images": {row: bothRow{Image: &img, Images: []imageCell{}, Meta: twoWords}, images: 1, train: 1},
		"image, null ones": {row: bothRow{Image: &img, Images: []imageCell{{}, {}}, Meta: twoWords}, images: 1, train: 1},
		"neither":          {row: bothRow{Meta: twoWords}, bad: "images"},
		"a null picture":   {row: bothRow{Images: []imageCell{img, {}}, Meta: twoWords}, bad: "image 1: column images holds empty bytes"},
		"nothing to do":    {row: bothRow{Image: &img}, bad: "columns metadata, Classification_Task, Generation_Task, Mask_Task are all empty"},
		"asked only":       {row: bothRow{Image: &img, Classification: asked}, images: 1, eval: 1},
		"both":             {row: bothRow{Image: &img, Classification: asked, Meta: twoWords}, images: 1, eval: 1, train: 1},
	} {
		c.row.ID = "1"
		dir := writeRows(t, c.row)
		b, err := open(dir)
		if err != nil {
			t.Fatal(err)
		}
		got, err := b.Set("x")
		switch {
		case c.bad != "":
			if err == nil || !strings.Contains(err.Error(), c.bad) {
				t.Errorf("%s: %v, want %q", name, err, c.bad)
			}
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case len(got[0].Images) != c.images || len(got[0].Eval) != c.eval || len(got[0].Train) != c.train:
			t.Errorf("%s: %+v", name, got[0])
		}
	}
}

// datasets writes the path of a picture and no bytes when it was given a path.
func TestPicturesBesideTheFile(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "x")
	hftest.WriteFile(t, filepath.Join(dir, "imgs", "1.png"), "one")
	hftest.WriteFile(t, filepath.Join(dir, "empty.png"), "")
	outside := hftest.WriteFile(t, filepath.Join(top, "outside.png"), "secret")
	for link, to := range map[string]string{"out.png": outside, "in.png": "imgs/1.png", "nowhere.png": "gone"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(top, filepath.Join(dir, "up")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"imgs/1.png":                      "one",
		"./imgs/../imgs/1.png":            "one",
		`imgs\1.png`:                      "one",
		"in.png":                          "one",
		filepath.Join(dir, "imgs/1.png"):  "one",
		"imgs/2.png":                      "! is not in the folder",
		"nowhere.png":                     "! is not in the folder",
		"../outside.png":                  "! leads out of the folder",
		"imgs/../../outside.png":          "! leads out of the folder",
		`..\outside.png`:                  "! leads out of the folder",
		outside:                           "! is not in the folder",
		"out.png":                         "! a link that leads out of the folder",
		"up/outside.png":                  "! a link that leads out of the folder",
		"imgs":                            "! not a file",
		"empty.png":                       "! an empty file",
		"https://pictures.example/1.png":  "! an address, which is not fetched",
		"hf://datasets/a/b@0f/imgs/1.png": "! an address, which is not fetched",
		"zip://1.png::/data/imgs.zip":     "! an address, which is not fetched",
	} {
		if err := parquet.WriteFile(filepath.Join(dir, "a.parquet"), []trainRow{{Image: imageCell{Path: name}, ID: "7", Metadata: twoWords}}); err != nil {
			t.Fatal(err)
		}
		b, err := open(top)
		if err != nil {
			t.Fatal(err)
		}
		got, err := b.Set("x")
		if bad, ok := strings.CutPrefix(want, "! "); ok {
			if err == nil || !strings.Contains(err.Error(), bad) || !strings.Contains(err.Error(), "row 0, ID 7: column image holds empty bytes and no image, but the path") ||
				!strings.Contains(err.Error(), "embed_table_storage") || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || string(got[0].Images[0].Bytes) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Names are the same in both normal forms of Unicode, and links that are whole paths
// lead to where they do also when the folder is given by a relative one.
func TestPicturesByOtherNames(t *testing.T) {
	top := t.TempDir()
	t.Chdir(top)
	dir := filepath.Join(top, "b", "x")
	hftest.WriteFile(t, filepath.Join(dir, "Ame\u0301lie.png"), "one")
	hftest.WriteFile(t, filepath.Join(dir, "Zo\u00eb.png"), "one")
	outside := hftest.WriteFile(t, filepath.Join(top, "b", "outside.png"), "secret")
	hftest.WriteFile(t, filepath.Join(dir, "a.parquet"), "")
	for link, to := range map[string]string{"in.png": filepath.Join(dir, "Zo\u00eb.png"), "out.png": outside} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"Am\u00e9lie.png": "", "Ame\u0301lie.png": "", "Zo\u00eb.png": "", "Zoe\u0308.png": "", "in.png": "",
		"Amelie.png": "is not in the folder", "out.png": "a link that leads out of the folder",
	} {
		for _, from := range []string{"b/x", dir} {
			b, err := pictures{filepath.Join(from, "a.parquet"), func(string) {}}.read(name)
			if want == "" && (err != nil || string(b) != "one") || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("%s in %s: %q, %v", name, from, b, err)
			}
		}
	}
}

// In a hub's cache a snapshot is made of links to files named by their digests.
func TestPicturesInAHubsCache(t *testing.T) {
	top := t.TempDir()
	hftest.WriteFile(t, filepath.Join(top, "blobs", "0a"), "one")
	hftest.WriteFile(t, filepath.Join(top, "secret"), "secret")
	snapshot := filepath.Join(top, "snapshots", "1", "x")
	if err := os.MkdirAll(snapshot, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := parquet.WriteFile(filepath.Join(top, "blobs", "0b"), []trainRow{{Image: imageCell{Path: "1.png"}, ID: "7", Metadata: twoWords}}); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"a.parquet": "../../../blobs/0b", "1.png": "../../../blobs/0a", "2.png": "../../../secret"} {
		if err := os.Symlink(to, filepath.Join(snapshot, link)); err != nil {
			t.Fatal(err)
		}
	}
	b, err := open(filepath.Dir(snapshot))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := b.Set("x"); err != nil || string(got[0].Images[0].Bytes) != "one" {
		t.Errorf("got %v", err)
	}
	if _, err := (pictures{parquet: filepath.Join(snapshot, "a.parquet")}).read("2.png"); err == nil {
		t.Error("a link out of the cache was followed")
	}
}
