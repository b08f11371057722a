package people

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"vgid/eval/dataset"
	"vgid/eval/mllmu"
	"vgid/eval/prompts"
	"vgid/model/kit/filekind"
	"vgid/model/kit/plaintext"
)

// ReadProfiles reads a profiles file: one JSON object a line, with ID (string)
// and metadata (a list of Question and Answer). Pairs keep their order and
// wording; they become Generation pairs about the image. Name comes from the
// pair that asks for it.
// An error names the file and the line; a name that is not found is no error.
func ReadProfiles(path string) ([]dataset.Profile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("profiles file %s: %w", path, filekind.Reason(err))
	}
	defer f.Close()
	var out []dataset.Profile
	lineOf := map[string]int{}
	line := 0
	err = plaintext.EachLine(f, func(n int, text []byte) error {
		line = n
		p, err := readProfile(text, lineOf)
		lineOf[p.ID] = n
		out = append(out, p)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("profiles file %s, line %d: %w", path, line, err)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("profiles file %s holds no profile", path)
	}
	return out, nil
}

// readProfile reads a line; lineOf tells where an ID stood before.
func readProfile(text []byte, lineOf map[string]int) (dataset.Profile, error) {
	fail := func(format string, args ...any) (dataset.Profile, error) {
		return dataset.Profile{}, fmt.Errorf(format, args...)
	}
	var row struct {
		ID       string
		Metadata json.RawMessage `json:"metadata"`
	}
	if err := plaintext.CheckJSON(text); err != nil {
		return dataset.Profile{}, err
	}
	if err := json.Unmarshal(text, &row); err != nil {
		return fail("not {\"ID\": TEXT, \"metadata\": […]}")
	}
	switch {
	case row.ID == "":
		return fail("no ID")
	case lineOf[row.ID] != 0:
		return fail("ID %s was used on line %d", row.ID, lineOf[row.ID])
	case row.Metadata == nil:
		return fail("ID %s has no metadata", row.ID)
	}
	pairs, err := mllmu.ParseMetadata(string(row.Metadata))
	if err != nil {
		return fail("ID %s: metadata: %w", row.ID, err)
	}
	for _, q := range pairs {
		if err := unmarked("Question", q.Question); err != nil {
			return fail("ID %s: %w", row.ID, err)
		}
		if err := unmarked("Answer", q.Answer); err != nil {
			return fail("ID %s: %w", row.ID, err)
		}
	}
	name := mllmu.FindName(pairs)
	for i := range pairs {
		if pairs[i].Subject == "" {
			pairs[i].Subject = dataset.ImageSubject
		}
	}
	return dataset.Profile{ID: row.ID, Name: name, Train: pairs}, nil
}

// marks are what stands for pictures in the prompts of some model.
// All of them are refused, since a benchmark is read by models that nobody knows of when
// it is built.
var marks = []string{prompts.ImageMark, "<|image_pad|>", "<|video_pad|>"}

// unmarked refuses a text with such a mark: it would be read as a picture that is
// not there.
func unmarked(field, text string) error {
	for _, m := range marks {
		if strings.Contains(text, m) {
			return fmt.Errorf("%s %.120q holds %s, which stands for a picture in a prompt: take it out", field, text, m)
		}
	}
	return nil
}
