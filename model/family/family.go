// Package family says what a family of vision-language models is: which fields
// its config.json has, which weights there are and how each release names them,
// and how an image becomes rows of the decoder's input.
//
// A family is one package below this one. It implements Family, registers it
// under the model_type of config.json, and sees of a model only what is here
// and in package nn: a Staging to lay out what its tower reads of a batch, and a
// tape to run on. Package all imports every family; whoever reads config.json
// needs that import.
//
// Begin with Family, then read llava, which is the smaller example.
package family

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"vgid/model/backend"
	"vgid/model/hf/imaging"
	"vgid/model/nn"
	"vgid/model/tape"
)

// Family is what config.json's model_type decides. Its value is the struct of
// the config fields that only this family has; what all have is in the Config
// that every method is given. Neither changes once the config is validated, so
// that models, readers and goroutines share them.
type Family interface {
	Format
	Names
	Pictures

	// Declare builds the structs of the model c describes, without memory.
	Declare(c *Config) (Network, nn.Declaration, error)
	// Part tells where in the model a weight or module stands.
	Part(c *Config, name string) Part
	// Positions appends where the tokens of s stand for the rotary embedding.
	Positions(c *Config, s *Sequence, dst []nn.Position) []nn.Position
}

// Format is how a family's config.json is read and written. What JSON writes,
// Parse reads as the same config.
type Format interface {
	// Parse fills c, and the family's own fields, from a config.json with the
	// defaults of the transformers classes. Errors begin with the field's name in
	// the file.
	Parse(c *Config, f *File) error
	// Validate checks the fields that only this family has, and the vision
	// tower's.
	Validate(c *Config) error
	// JSON is the top level of a config.json that transformers 4 and 5 read.
	JSON(c *Config) map[string]any
}

// Names are what a weight is called: by this program, which takes the layout that
// transformers 4 writes, by files of any release, and in memory. DiskName leaves
// this program's names as they are and leads back from MemoryName's.
type Names interface {
	// DiskName is this program's name of the tensor that a folder or adapter of
	// any release calls name.
	DiskName(name string) string
	// MemoryName is the path transformers 5 gives in memory to what this program
	// calls name. PEFT's adapters carry it.
	MemoryName(name string) string
	// HeadName is this program's name of the language-model head.
	HeadName() string
}

// Pictures are what images are for a family: how they are written in a prompt,
// what stands for them in token ids, and what the tower takes.
type Pictures interface {
	// Mark is how an image is written.
	Mark(c *Config) Mark
	// ImageTokens is how many placeholders stand for an image of grid g.
	ImageTokens(c *Config, g imaging.Grid) int
	// PixelShape is the shape transformers gives the pixel_values of images.
	PixelShape(c *Config, images []imaging.Image) []int
	// CheckProcessor refuses an image processor that does not make what the tower
	// reads.
	CheckProcessor(c *Config, p imaging.Processor) error
	// Blank is a black image, of about side×side pixels where the tower takes any
	// size.
	Blank(c *Config, side int) imaging.Image
	// CheckImages checks the images of a sequence and that its placeholders are
	// theirs.
	CheckImages(c *Config, s *Sequence) error
}

// Network is a declared model of a family.
type Network interface {
	Decoder() *nn.Llama
	// Images makes the part of a batch that the vision tower reads.
	Images() Images
}

// Images is what the vision tower of a family reads of one batch. It keeps its
// memory from one batch to the next: Stage replaces what was staged before, and
// Tower and Project run over what was staged last, once it is uploaded.
type Images interface {
	// Stage lays out the rows of the images of seqs in s.
	Stage(s *Staging, seqs []Sequence)
	// Tower is the vision tower over the pixels of all images behind each other.
	Tower(p nn.Pass, pixels backend.Tensor) tape.Var
	// Project makes rows of the decoder's input of the tower's output x.
	Project(t *tape.Tape, x tape.Var) tape.Var
}

// Mark is how an image is written in a prompt of a family.
type Mark struct {
	Token   string // that ImageTokenID is in the tokenizer
	Written string // an image: the token and what belongs around it
	// Around are the other tokens of Written, which the tokenizer has to give
	// these ids.
	Around []Token
	// VideoID is the token that stands for a video, which is refused; 0 where there
	// is none.
	VideoID int
}

// Token is an entry of a vocabulary.
type Token struct {
	Text string
	ID   int
}

// Part is where in a model a weight stands.
type Part uint8

// Parts of a model.
const (
	Text Part = iota
	Tower
	Projector
	Idle // read from files and written back, but no output depends on it
)

// families are the registered makers of a family with no fields set.
var families = map[string]func() Family{}

// Register makes a model_type known; a family calls it when its package is
// imported. It panics where the type is taken.
func Register(modelType string, empty func() Family) {
	if families[modelType] != nil {
		panic("family: model_type " + modelType + " is registered twice")
	}
	families[modelType] = empty
}

// of makes the empty family of a model_type.
func of(modelType string) (Family, error) {
	empty, ok := families[modelType]
	known := strings.Join(slices.Sorted(maps.Keys(families)), ", ")
	switch {
	case ok:
		return empty(), nil
	case modelType == "":
		return nil, fmt.Errorf("model_type is missing; known: %s", known)
	}
	if slices.Contains([]string{"llava_llama", "llava_mistral", "llava_mpt", "llava_qwen"}, modelType) {
		return nil, fmt.Errorf("model_type %q is of LLaVA's own code; take the model in Hugging Face's layout (often named …-hf), whose model_type is llava", modelType)
	}
	return nil, fmt.Errorf("model_type %q is not implemented; known: %s", modelType, known)
}

// PatchesDiffer says that a processor makes other patches than v's tower reads.
func PatchesDiffer(p *imaging.QwenProcessor, v *nn.VisionConfig) error {
	return fmt.Errorf("the image processor makes patches of %d×%d pixels and %d frames, merged %d×%d, config.json's vision_config says %d, %d and %d", p.Patch, p.Patch, p.Temporal, p.Merge, p.Merge, v.PatchSize, v.TemporalSize, v.MergeSize)
}

// TextPositions are the positions of n tokens that follow each other.
func TextPositions(n int, dst []nn.Position) []nn.Position {
	for i := range int32(n) {
		dst = append(dst, nn.Position{i, i, i})
	}
	return dst
}
