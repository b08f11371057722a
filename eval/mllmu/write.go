package mllmu

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"vgid/eval/dataset"
	"vgid/model/kit/safefile"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/snappy"
)

// The rows as the published files have them; field order is column order. Values
// are optional because pyarrow, which wrote those files, makes all columns so.
// Empty texts are written as null, which optional makes of them.
type (
	imageCell struct {
		Bytes []byte `parquet:"bytes,optional"`
		Path  string `parquet:"path,optional"`
	}
	optionCells struct {
		A, B, C, D string `parquet:",optional"`
	}
	choiceCell struct {
		CorrectAnswer string      `parquet:"Correct_Answer,optional"`
		Options       optionCells `parquet:"Options"`
		Question      string      `parquet:"Question,optional"`
	}
	choiceCells struct {
		ImageTextual []choiceCell `parquet:"Image_Textual_Questions,list"`
		PureText     []choiceCell `parquet:"Pure_Text_Questions,list"`
	}
	generationCell struct {
		GroundTruth string `parquet:"Ground_Truth,optional"`
		Question    string `parquet:"Question,optional"`
		Type        string `parquet:"Type,optional"`
	}
	evalCells struct {
		Directory      string           `parquet:"Directory,optional"`
		Biography      string           `parquet:"biography,optional"`
		Question       string           `parquet:"question,optional"`
		Answer         string           `parquet:"answer,optional"`
		Classification choiceCells      `parquet:"Classification_Task"`
		Generation     []generationCell `parquet:"Generation_Task,list"`
		Mask           []generationCell `parquet:"Mask_Task,list"`
	}
	evalRow struct {
		Image imageCell `parquet:"image"`
		ID    string    `parquet:"ID,optional"`
		evalCells
	}
	testRow struct {
		Images []imageCell `parquet:"images,list"`
		ID     string      `parquet:"ID,optional"`
		evalCells
	}
	trainRow struct {
		Image    imageCell `parquet:"image"`
		ID       string    `parquet:"ID,optional"`
		Metadata string    `parquet:"metadata,optional"`
	}
)

func cellOf(im dataset.Image) imageCell { return imageCell{Bytes: im.Bytes, Path: im.Path} }

// Questions keep their order within a column; decodeEval gives them in the order of the
// columns. Options stand under their letters, of which the format has four.
func evalCellsOf(p dataset.Profile) (evalCells, error) {
	e := evalCells{Directory: p.ID, Question: p.Question, Answer: p.Answer}
	if p.Biography != nil {
		b, err := json.Marshal(p.Biography)
		if err != nil {
			return e, fmt.Errorf("profile %s: biography: %w", p.ID, err)
		}
		e.Biography = string(b)
	}
	for i, q := range p.Eval {
		if q.Modality != dataset.ImageText && q.Modality != dataset.Text {
			return e, fmt.Errorf("profile %s, question %d: modality %q", p.ID, i, q.Modality)
		}
		switch q.Task {
		case dataset.Classification:
			c := choiceCell{CorrectAnswer: q.Correct, Question: q.Text}
			for _, o := range q.Options {
				switch o.Letter {
				case "A":
					c.Options.A = o.Text
				case "B":
					c.Options.B = o.Text
				case "C":
					c.Options.C = o.Text
				case "D":
					c.Options.D = o.Text
				default:
					return e, fmt.Errorf("profile %s, question %d: option letter %q, want A to D", p.ID, i, o.Letter)
				}
			}
			if q.Modality == dataset.ImageText {
				e.Classification.ImageTextual = append(e.Classification.ImageTextual, c)
			} else {
				e.Classification.PureText = append(e.Classification.PureText, c)
			}
		case dataset.Generation:
			e.Generation = append(e.Generation, generationCell{q.Answer, q.Text, string(q.Modality)})
		case dataset.Cloze:
			e.Mask = append(e.Mask, generationCell{q.Answer, q.Text, string(q.Modality)})
		default:
			return e, fmt.Errorf("profile %s, question %d: task %q", p.ID, i, q.Task)
		}
	}
	return e, nil
}

// WriteEvaluation writes profiles in the evaluation layout to
// dir/name/train-00000-of-00001.parquet: column image with a profile's first
// image, or, with list, column images with all of them (the Test_Set form).
func WriteEvaluation(dir, name string, profiles []dataset.Profile, list bool) error {
	if list {
		return writeSet(dir, name, profiles, func(p dataset.Profile) ([]testRow, error) {
			e, err := evalCellsOf(p)
			row := testRow{ID: p.ID, evalCells: e}
			for _, im := range p.Images {
				row.Images = append(row.Images, cellOf(im))
			}
			return []testRow{row}, err
		})
	}
	return writeSet(dir, name, profiles, func(p dataset.Profile) ([]evalRow, error) {
		if len(p.Images) == 0 {
			return nil, fmt.Errorf("profile %s: no image", p.ID)
		}
		e, err := evalCellsOf(p)
		return []evalRow{{Image: cellOf(p.Images[0]), ID: p.ID, evalCells: e}}, err
	})
}

// WriteTraining writes profiles in the training layout, one row an image; the
// metadata column repeats in each row of a person.
func WriteTraining(dir, name string, profiles []dataset.Profile) error {
	return writeSet(dir, name, profiles, func(p dataset.Profile) ([]trainRow, error) {
		entries := make([]metadataEntry, len(p.Train))
		for i, q := range p.Train {
			entries[i] = metadataEntry{Question: &q.Question, Answer: &q.Answer, Task: q.Task, Modality: q.Modality, Subject: q.Subject}
		}
		meta, err := json.Marshal(entries)
		if err != nil {
			return nil, fmt.Errorf("profile %s: metadata: %w", p.ID, err)
		}
		rows := make([]trainRow, len(p.Images))
		for i, im := range p.Images {
			rows[i] = trainRow{Image: cellOf(im), ID: p.ID, Metadata: string(meta)}
		}
		return rows, nil
	})
}

// writeSet writes a set as one file under the name that the published ones have. rows
// are a profile's; an error of theirs leaves no file behind.
func writeSet[T any](dir, name string, profiles []dataset.Profile, rows func(dataset.Profile) ([]T, error)) error {
	if len(profiles) == 0 {
		return fmt.Errorf("set %s would be empty; give it at least one person", name)
	}
	folder := filepath.Join(dir, name)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	return safefile.Write(filepath.Join(folder, "train-00000-of-00001.parquet"), func(w io.Writer) error {
		// Snappy is pyarrow's default. The writer's name has no version of ours in it: the same
		// people give the same bytes, and so the same fingerprint, from every release.
		// A row holds a picture, and a row group is held until it is written.
		pw := parquet.NewGenericWriter[T](w, parquet.Compression(&snappy.Codec{}), parquet.MaxRowsPerRowGroup(256),
			parquet.CreatedBy("vgid", "1", ""))
		for _, p := range profiles {
			r, err := rows(p)
			if err != nil {
				return err
			}
			if _, err := pw.Write(r); err != nil {
				return err
			}
		}
		return pw.Close()
	})
}
