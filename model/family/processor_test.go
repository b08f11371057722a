package family_test

import (
	"testing"

	"vgid/model/family"
	"vgid/model/hf/imaging"
	"vgid/model/kit/hftest"
)

// A processor of another folder is refused by what it makes.
func TestProcessorsThatDoNotFit(t *testing.T) {
	llava, err := family.ParseConfig([]byte(`{"model_type":"llava","text_config":{"vocab_size":32064}}`))
	if err != nil {
		t.Fatal(err)
	}
	qwen, err := family.ParseConfig([]byte(qwen2Released))
	if err != nil {
		t.Fatal(err)
	}
	patches := func(side, merge, frames int) *imaging.QwenProcessor {
		return &imaging.QwenProcessor{Patch: side, Merge: merge, Temporal: frames}
	}
	for _, tt := range []struct {
		c    *family.Config
		p    imaging.Processor
		want string
	}{
		{llava, imaging.NewCLIP(336), ""},
		{llava, imaging.NewCLIP(224), "makes 224×224 images, config.json's vision_config.image_size says 336"},
		{llava, patches(14, 2, 2), "makes patches of 14×14 pixels and 2 frames, merged 2×2, config.json's vision_config says 14, 0 and 0"},
		{qwen, patches(14, 2, 2), ""},
		{qwen, patches(16, 2, 2), "makes patches of 16×16 pixels and 2 frames, merged 2×2, config.json's vision_config says 14, 2 and 2"},
		{qwen, patches(14, 1, 2), "merged 1×1"},
		{qwen, patches(14, 2, 1), "and 1 frames"},
		{qwen, imaging.NewCLIP(336), "makes no patches of a Qwen2-VL tower"},
	} {
		err := tt.c.Family.CheckProcessor(tt.c, tt.p)
		if tt.want != "" {
			hftest.WantError(t, err, tt.want)
		} else if err != nil {
			t.Errorf("%s: %v", tt.c.Type, err)
		}
	}
}
