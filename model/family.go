package model

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"vgid/model/hf/imaging"
	"vgid/model/tape"
)

// A family is what config.json's model_type decides: which fields the config
// has, which weights there are and how each release names them, and how an
// image becomes rows of the decoder's input. It has no state: what belongs to
// one model is its network.
type family interface {
	// parse fills c from a config.json with the defaults of the transformers
	// classes. Errors begin with the field's name in the file.
	parse(c *Config, f *configFile) error
	// validate checks the fields that only this family has.
	validate(c *Config) error
	// json is the top level of a config.json that transformers 4 and 5 read.
	json(c *Config) map[string]any

	// declare builds the structs of the model c describes, without memory.
	declare(c *Config) (network, *walker, error)
	// diskName is this package's name of the tensor that a folder or adapter
	// of any release calls name: the layout transformers 4 writes.
	diskName(name string) string
	// memoryName is the path transformers 5 gives in memory to what this
	// package calls name. PEFT's adapters carry it.
	memoryName(name string) string
	// headName is this package's name of the language-model head.
	headName() string
	// part tells where in the model a weight or module stands.
	part(c *Config, name string) part

	// imageMark is the token that ImageTokenID has to be in the tokenizer, and
	// how an image is written in a prompt.
	imageMark() (token, written string)
	// imageTokens is how many placeholders stand for an image of grid g.
	imageTokens(c *Config, g imaging.Grid) int
	// pixelShape is the shape transformers gives the pixel_values of images.
	pixelShape(c *Config, images []imaging.Image) []int
	// checkImages checks the images of a sequence and that its placeholders
	// are theirs.
	checkImages(c *Config, s *Sequence) error
	// positions appends where the tokens of s stand for the rotary embedding.
	positions(c *Config, s *Sequence, dst []position) []position
}

// network is a declared model of a family.
type network interface {
	decoder() *llama
	// images makes the part of a batch that the vision tower reads.
	images(m *Model) imageBatch
}

// imageBatch is what the vision tower of a family reads of one batch. It keeps
// its memory from one Pack to the next.
type imageBatch interface {
	// stage lays out the rows of the images of seqs in b's staging memory.
	stage(b *Batch, seqs []Sequence)
	// tower is the vision tower over the staged images, project what makes
	// rows of the decoder's input of its output.
	tower(t *tape.Tape, b *Batch) tape.Var
	project(t *tape.Tape, b *Batch, x tape.Var) tape.Var
}

// part is where in a model a weight stands.
type part uint8

const (
	partText part = iota
	partTower
	partProjector
	partIdle // read from files and written back, but no output depends on it
)

// position is where a token stands for the rotary embedding: in time, down and
// across. In text the three are the same.
type position [3]int32

// families are the implemented values of model_type.
var families = map[string]family{
	"llava":      llavaFamily{},
	"qwen2_vl":   qwen2VLFamily{},
	"qwen2_5_vl": qwen25VLFamily{},
}

// familyOf finds the family of a model_type.
func familyOf(modelType string) (family, error) {
	f, ok := families[modelType]
	known := strings.Join(slices.Sorted(maps.Keys(families)), ", ")
	switch {
	case ok:
		return f, nil
	case modelType == "":
		return nil, fmt.Errorf("model_type is missing; known: %s", known)
	}
	if slices.Contains([]string{"llava_llama", "llava_mistral", "llava_mpt", "llava_qwen"}, modelType) {
		return nil, fmt.Errorf("model_type %q is of LLaVA's own code; take the model in Hugging Face's layout (often named …-hf), whose model_type is llava", modelType)
	}
	return nil, fmt.Errorf("model_type %q is not implemented; known: %s", modelType, known)
}

// family is the family of a valid config.
func (c *Config) family() family { return families[c.Type] }

// ImageTokens is how many placeholders stand for an image of grid g in a
// sequence's ids. Families with images of one size take the zero Grid.
func (c *Config) ImageTokens(g imaging.Grid) int { return c.family().imageTokens(c, g) }

// PixelShape is the shape transformers gives the pixel_values of images.
func (c *Config) PixelShape(images []imaging.Image) []int { return c.family().pixelShape(c, images) }

// ImageMark is the token that ImageTokenID is in the tokenizer, and how an
// image is written in a prompt for this family.
func (c *Config) ImageMark() (token, written string) { return c.family().imageMark() }

// idle reports whether the forward pass never reads the weight.
func (c *Config) idle(name string) bool { return c.family().part(c, name) == partIdle }

// anyTrained reports whether a weight of the part is trained.
func (m *Model) anyTrained(p part) bool {
	for _, w := range m.weights {
		if w.Trainable && m.family.part(m.Config, w.Name) == p {
			return true
		}
	}
	return false
}

// textPositions are the positions of tokens that follow each other.
func textPositions(n int, dst []position) []position {
	for i := range int32(n) {
		dst = append(dst, position{i, i, i})
	}
	return dst
}
