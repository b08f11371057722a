package mllmu

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vgid/eval/dataset"
	"vgid/model/kit/hftest"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
)

// open is how package formats opens a folder.
func open(dir string) (*dataset.Benchmark, error) {
	f, err := Find(dir)
	if err != nil {
		return nil, fmt.Errorf("data folder %s: %w", dir, err)
	}
	return dataset.New(f), nil
}

func writeRows[T any](t *testing.T, rows ...T) string {
	t.Helper()
	return writeRowsWith(t, &parquet.Snappy, rows...)
}

func writeRowsWith[T any](t *testing.T, codec compress.Codec, rows ...T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := parquet.WriteFile(filepath.Join(dir, "x", "a.parquet"), rows, parquet.Compression(codec)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// one reads set x of dir and gives the error, which must be one line.
func one(t *testing.T, dir string) string {
	t.Helper()
	b, err := open(dir)
	if err == nil {
		_, err = b.Set("x")
	}
	if err == nil {
		t.Fatal("no error")
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than one line: %v", err)
	}
	return err.Error()
}

func TestBadFiles(t *testing.T) {
	type noID struct {
		Image imageCell `parquet:"image"`
		Other string
	}
	type noTask struct {
		Image imageCell `parquet:"image"`
		ID    string
		Mask  []generationCell `parquet:"Mask_Task,list"`
	}
	img := imageCell{Bytes: []byte("x")}
	row := func(meta string) trainRow { return trainRow{Image: img, ID: "7", Metadata: meta} }
	choice := choiceCells{PureText: []choiceCell{{CorrectAnswer: "E", Question: "q", Options: optionCells{"a", "b", "c", "d"}}}}
	unasked := choiceCells{ImageTextual: []choiceCell{{CorrectAnswer: "A", Question: "\t", Options: optionCells{"a", "b", "c", "d"}}}}
	unsaid := choiceCells{PureText: []choiceCell{{CorrectAnswer: "b", Question: "q", Options: optionCells{"a", " ", "c", "d"}}}}
	good := evalRow{Image: img, ID: "1"}
	truncated := writeRows(t, row(`[{"Question":"q","Answer":"a"}]`))
	path := filepath.Join(truncated, "x", "a.parquet")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	hftest.WriteFile(t, path, string(b[:len(b)/2]))
	for name, c := range map[string]struct{ dir, want string }{
		"no ID":          {writeRows(t, noID{Image: img}), "column ID is missing; it holds image, Other"},
		"no task":        {writeRows(t, noTask{Image: img}), "column Classification_Task is missing; it holds image, ID, Mask_Task"},
		"no layout":      {writeRows(t, struct{ ID, image string }{ID: "1"}), "column image is missing"},
		"bad JSON":       {writeRows(t, row("{")), "row 0, ID 7: column metadata: not a JSON list"},
		"no answer":      {writeRows(t, row(`[{"Question":"q"}]`)), "entry 0 has no Question or no Answer"},
		"empty answer":   {writeRows(t, row(`[{"Question":"q","Answer":"a"},{"Question":"q","Answer":" \n"}]`)), "row 0, ID 7: column metadata: entry 1 has an empty Question or Answer; take it out"},
		"empty truth":    {writeRows(t, evalRow{Image: img, ID: "1", evalCells: evalCells{Mask: []generationCell{{" ", "q", "Pure_Text"}}}}), "row 0, ID 1: Mask_Task entry 0 has an empty Question or Ground_Truth"},
		"blank question": {writeRows(t, evalRow{Image: img, ID: "1", evalCells: evalCells{Generation: []generationCell{{"a", "q", "Pure_Text"}, {"a", "  ", "Pure_Text"}}}}), "Generation_Task entry 1 has an empty Question or Ground_Truth"},
		"blank choice":   {writeRows(t, evalRow{Image: img, ID: "1", evalCells: evalCells{Classification: unasked}}), "Classification_Task.Image_Textual_Questions entry 0: no Question"},
		"blank option":   {writeRows(t, evalRow{Image: img, ID: "1", evalCells: evalCells{Classification: unsaid}}), `Correct_Answer "b" is none of the 3 options`},
		"half a letter":  {writeRows(t, row(`[{"Question":"q","Answer":"a \ud83d"}]`)), `row 0, ID 7: column metadata: \ud83d at byte 30 is half a character`},
		"Windows-1252":   {writeRows(t, row("[{\"Question\":\"q\",\"Answer\":\"K\xf6ln\"}]")), "row 0: column metadata: byte 29 (0xF6) is no UTF-8"},
		"GBK in a list":  {writeRows(t, evalRow{Image: img, ID: "1", evalCells: evalCells{Mask: []generationCell{{"a", "q", "x"}, {"a", "\xba\xbc", "x"}}}}), "row 0: column Mask_Task.list.element.Question: byte 1 (0xBA) is no UTF-8"},
		"bad task":       {writeRows(t, row(`[{"Question":"q","Answer":"a","Task":"quiz"}]`)), `Task "quiz"`},
		"no image":       {writeRows(t, trainRow{ID: "7"}), "column image is empty and there is no column images"},
		"no ID value":    {writeRows(t, trainRow{Image: img}), "column ID is empty"},
		"LZ4":            {writeRowsWith(t, &parquet.Lz4Raw, good), "column image.bytes is compressed with LZ4_RAW, which is not read; write the file again with snappy"},
		"duplicate":      {writeRows(t, good, good), "row 1, ID 1: the ID was used by an earlier row"},
		"wrong letter":   {writeRows(t, evalRow{Image: img, ID: "1", evalCells: evalCells{Classification: choice}}), `Correct_Answer "E" is none of the 4 options`},
		"bad type":       {writeRows(t, evalRow{Image: img, ID: "1", evalCells: evalCells{Mask: []generationCell{{"a", "q", "Sound"}}}}), `Type "Sound"`},
		"bad biography":  {writeRows(t, evalRow{Image: img, ID: "1", evalCells: evalCells{Biography: "["}}), "column biography is not a JSON object"},
		"empty":          {writeRows[trainRow](t), "holds no rows"},
		"truncated":      {truncated, "not a readable parquet file"},
		"no set":         {filepath.Dir(filepath.Dir(hftest.WriteFile(t, filepath.Join(t.TempDir(), "y", "a.parquet"), ""))), `no set "x"; it holds y`},
		"no files":       {t.TempDir(), "no parquet files"},
		"no folder":      {filepath.Join(t.TempDir(), "none"), "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := one(t, c.dir); !strings.Contains(got, c.want) {
				t.Errorf("error %q does not say %q", got, c.want)
			}
		})
	}
}

// Columns that nobody asks for may be of any kind; one that is asked for says
// what it holds instead.
func TestColumnsOfOtherKinds(t *testing.T) {
	type odd struct {
		Image    imageCell `parquet:"image"`
		ID       string
		Metadata string `parquet:"metadata"`
		Whole    int32
		Long     int64
		Half     float32
		Double   float64
		Yes      bool
		Raw      []byte
		Note     *string `parquet:"note,optional"`
	}
	dir := writeRows(t, odd{Image: imageCell{Bytes: []byte("x")}, ID: "1", Metadata: twoWords, Whole: 1, Raw: []byte{0xff}})
	b, err := open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if people, err := b.Set("x"); err != nil || len(people) != 1 || b.Dir() != dir {
		t.Errorf("%+v, %v", people, err)
	}
	type numbered struct {
		Image    imageCell `parquet:"image"`
		ID       int64
		Metadata string `parquet:"metadata"`
	}
	type listed struct {
		Image    imageCell `parquet:"image"`
		ID       string
		Metadata []string `parquet:"metadata,list"`
	}
	type bare struct {
		Image    float64 `parquet:"image"`
		ID       string
		Metadata string `parquet:"metadata"`
	}
	type untasked struct {
		Image                imageCell `parquet:"image"`
		ID                   string
		Classification       string           `parquet:"Classification_Task"`
		Generation, Sentence []generationCell `parquet:",list"`
		Mask                 bool             `parquet:"Mask_Task"`
		GenerationTask       bool             `parquet:"Generation_Task"`
	}
	img := imageCell{Bytes: []byte("x")}
	for want, dir := range map[string]string{
		"row 0: column ID is int64, want a non-empty string":                 writeRows(t, numbered{img, 7, twoWords}),
		"row 0, ID 7: column metadata is a list of 1, want a JSON string":    writeRows(t, listed{img, "7", []string{"a"}}),
		"row 0, ID 7: column image holds float64 and no image":               writeRows(t, bare{1, "7", twoWords}),
		"row 0, ID 7: column Classification_Task is a string, want a struct": writeRows(t, untasked{Image: img, ID: "7", Classification: "q"}),
	} {
		if got := one(t, dir); !strings.Contains(got, want) {
			t.Errorf("%q does not say %q", got, want)
		}
	}
}

func FuzzParseMetadata(f *testing.F) {
	f.Add(`[{"Question":"q","Answer":"a","Task":"cloze","Modality":"Pure_Text"}]`)
	f.Add(`[{"Question":"What is the name of this person?","Answer":"The person's name is Ada."}]`)
	f.Add(`[{"Question":null}]`)
	f.Add(`{}`)
	f.Fuzz(func(t *testing.T, s string) {
		pairs, err := ParseMetadata(s)
		if err != nil {
			if pairs != nil || strings.Contains(err.Error(), "\n") {
				t.Fatalf("%+v, %v", pairs, err)
			}
			return
		}
		if len(pairs) == 0 {
			t.Fatal("neither pairs nor error")
		}
		for _, p := range pairs {
			if blank(p.Question) || blank(p.Answer) || p.Task == "" || p.Modality == "" {
				t.Fatalf("a pair that cannot be trained on: %+v", p)
			}
		}
		FindName(pairs)
	})
}

// What a file's name says of its set is not lost: a part's name leads back to
// itself, and any other file is its own set.
func FuzzSetOf(f *testing.F) {
	f.Add("forget_5-00000-of-00001-abc.parquet")
	f.Add("train-00001-of-00002.parquet.parquet")
	f.Add(".parquet")
	f.Fuzz(func(t *testing.T, name string) {
		set := setOf(name)
		if p, ok := parsePart(name); ok {
			if set != p.prefix || set == "" || !strings.HasPrefix(name, set+"-") || p.name != name {
				t.Fatalf("%q is part %+v of set %q", name, p, set)
			}
		} else if set != strings.TrimSuffix(name, ".parquet") {
			t.Fatalf("%q is set %q", name, set)
		}
	})
}
