package family

import (
	"errors"
	"fmt"

	"vgid/model/hf"
	"vgid/model/hf/imaging"
	"vgid/model/kit/plainjson"
	"vgid/model/nn"
)

// Config describes a model: a vision tower, a projector and a decoder of the
// LLaMA kind. Type says of which family, whose own fields are in Family.
type Config struct {
	Type   string // model_type: a registered one
	Text   nn.TextConfig
	Vision nn.VisionConfig
	Family Family

	ImageTokenID int    // the placeholder that image features replace
	PadTokenID   int    // -1 when the files name none
	BOSTokenID   int    // -1 when the files name none
	EOSTokenID   []int  // empty when the files name none
	DType        string // of the weights on disk: "float32", "bfloat16" or "float16"

	Flat bool // config.json has the text's fields at the top level
}

// ParseConfig reads a config.json as transformers 4 or 5 writes it. Fields
// that are missing take the defaults of the transformers classes. A field
// whose value is not implemented is refused by its name.
func ParseConfig(data []byte) (*Config, error) {
	f := File{Raw: data}
	if err := plainjson.Unmarshal(data, &f.Fields); err != nil {
		return nil, err
	}
	if f.MMVisionTower != nil {
		return nil, errors.New("mm_vision_tower: this model is in the layout of LLaVA's own code, whose tower lies elsewhere, not in that of transformers; take the converted one (often named …-hf), or convert it with transformers' convert_llava_weights_to_hf.py")
	}
	family, err := of(f.ModelType)
	if err != nil {
		return nil, err
	}
	if err := hf.Quantised(data); err != nil {
		return nil, err
	}
	c := &Config{Type: f.ModelType, Family: family, DType: FirstOf(f.DType, f.TorchDType, "float32")}
	if err := family.Parse(c, &f); err != nil {
		return nil, err
	}
	return c, c.Validate()
}

// Validate checks that the fields fit each other and are implemented. Errors
// begin with the field's name in config.json.
func (c *Config) Validate() error {
	if _, err := of(c.Type); err != nil {
		return err
	}
	if c.Family == nil {
		return fmt.Errorf("model_type %q: the fields of that family are not given", c.Type)
	}
	if err := c.Text.Validate(); err != nil {
		return c.TextError(err)
	}
	if c.ImageTokenID < 0 || c.ImageTokenID >= c.Text.VocabSize {
		return fmt.Errorf("image_token_id %d is outside the vocabulary of %d", c.ImageTokenID, c.Text.VocabSize)
	}
	if _, ok := nn.Activations[c.Vision.Act]; !ok {
		return fmt.Errorf("vision_config.hidden_act %q is not implemented", c.Vision.Act)
	}
	switch c.DType {
	case "float32", "bfloat16", "float16":
	default:
		return fmt.Errorf("dtype %q is not implemented; use float32, bfloat16 or float16", c.DType)
	}
	return c.Family.Validate(c)
}

// TextError completes an error that begins with a field of the text's part.
func (c *Config) TextError(err error) error {
	if c.Flat {
		return err
	}
	return fmt.Errorf("text_config.%w", err)
}

// ImageTokens is how many placeholders stand for an image of grid g in a
// sequence's ids. Families with images of one size take the zero Grid.
func (c *Config) ImageTokens(g imaging.Grid) int { return c.Family.ImageTokens(c, g) }

// PixelShape is the shape transformers gives the pixel_values of images.
func (c *Config) PixelShape(images []imaging.Image) []int { return c.Family.PixelShape(c, images) }

// Mark is how an image is written in a prompt for this family.
func (c *Config) Mark() Mark { return c.Family.Mark(c) }

// Idle reports whether the forward pass never reads the weight.
func (c *Config) Idle(name string) bool { return c.Family.Part(c, name) == Idle }

// Or is what p points to, or a default for a field that was missing or null.
func Or[T any](p *T, def T) T {
	if p != nil {
		return *p
	}
	return def
}

// FirstOf is Or over two spellings of a field.
func FirstOf[T any](a, b *T, def T) T { return Or(a, Or(b, def)) }
