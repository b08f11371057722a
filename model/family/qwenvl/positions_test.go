package qwenvl

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"vgid/model/family"
	"vgid/model/hf/imaging"
	"vgid/model/nn"
)

// Tokens of the tests.
const (
	imagePad = 9
	videoPad = 8
)

// small is a model of patches of 2×2 pixels and 3 channels, two of each side merged.
func small() (*Config, *family.Config) {
	f := &Config{VideoTokenID: videoPad, VisionStartID: 6, VisionEndID: 7}
	return f, &family.Config{
		Type: "qwen2_vl", Family: f, ImageTokenID: imagePad,
		Vision: nn.VisionConfig{HiddenSize: 16, IntermediateSize: 32, Layers: 1, Heads: 2, PatchSize: 2, TemporalSize: 2, Channels: 3, MergeSize: 2},
	}
}

// pictures are images of these sides in merged patches.
func pictures(c *family.Config, sides ...[2]int) []imaging.Image {
	var out []imaging.Image
	for _, s := range sides {
		g := imaging.Grid{T: 1, H: s[0] * c.Vision.MergeSize, W: s[1] * c.Vision.MergeSize}
		out = append(out, imaging.Image{Grid: g, Pixels: make([]float32, g.Patches()*c.Vision.PatchValues())})
	}
	return out
}

func ids(s string) []int32 {
	out := make([]int32, len(s))
	for i, c := range s {
		out[i] = int32(c - '0')
	}
	return out
}

// The positions of get_rope_index, worked out by hand: time, row, column.
func TestPositionsByHand(t *testing.T) {
	f, c := small()
	for _, tc := range []struct {
		name, ids string
		sides     [][2]int
		want      string // "time row column" of each token
	}{
		{"text alone", "123", nil, "000 111 222"},
		{"2 rows of 3, then behind the longer side", "16999999715", [][2]int{{2, 3}},
			"000 111 222 223 224 232 233 234 555 666 777"},
		{"3 rows of 1", "9997", [][2]int{{3, 1}}, "000 010 020 333"},
		{"two images, text between", "996999972", [][2]int{{1, 2}, {2, 2}}, "000 001 222 333 334 343 344 555 666"},
		{"two images side by side", "999", [][2]int{{1, 1}, {1, 2}}, "000 111 112"},
		{"nothing", "", nil, ""},
	} {
		s := &family.Sequence{IDs: ids(tc.ids), Images: pictures(c, tc.sides...)}
		if err := f.CheckImages(c, s); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		var got []string
		for _, p := range f.Positions(c, s, nil) {
			got = append(got, fmt.Sprintf("%d%d%d", p[0], p[1], p[2]))
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s:\n%s, want\n%s", tc.name, strings.Join(got, " "), tc.want)
		}
	}
}

// Whatever images there are: a position a token; text has one number on its three
// axes, which is above all before it; an image's time stands still.
func TestPositionsOfAnyImages(t *testing.T) {
	f, c := small()
	rapid.Check(t, func(t *rapid.T) {
		s := &family.Sequence{}
		for range rapid.IntRange(0, 4).Draw(t, "images") {
			side := [2]int{rapid.IntRange(1, 4).Draw(t, "height"), rapid.IntRange(1, 4).Draw(t, "width")}
			s.IDs = append(s.IDs, rapid.SliceOfN(rapid.Int32Range(0, 5), 0, 3).Draw(t, "text")...)
			s.Images = append(s.Images, pictures(c, side)...)
			for range side[0] * side[1] {
				s.IDs = append(s.IDs, imagePad)
			}
		}
		s.IDs = append(s.IDs, 1)
		before := []nn.Position{{40, 41, 42}} // of another sequence
		got := f.Positions(c, s, slices.Clone(before))
		if len(got) != 1+len(s.IDs) || got[0] != before[0] {
			t.Fatalf("%d positions behind 1 for %d tokens, the first is %v", len(got)-1, len(s.IDs), got[0])
		}
		most := int32(-1)
		for i, p := range got[1:] {
			if s.IDs[i] != imagePad && (p[0] != p[1] || p[0] != p[2] || p[0] != most+1) {
				t.Fatalf("text at %d has %v behind positions up to %d", i, p, most)
			}
			if s.IDs[i] == imagePad && (p[1] < p[0] || p[2] < p[0] || p[1] > p[0]+3 || p[2] > p[0]+3) {
				t.Fatalf("image token %d has %v", i, p)
			}
			most = max(most, slices.Max(p[:]))
		}
	})
}

// Sequences that the model cannot read are refused, by the token or the image.
func TestImagesThatDoNotFit(t *testing.T) {
	f, c := small()
	with := func(change func(*imaging.Image)) []imaging.Image {
		img := pictures(c, [2]int{1, 2})
		change(&img[0])
		return img
	}
	for _, tc := range []struct {
		name, ids string
		images    []imaging.Image
		want      string
	}{
		{"a video", "182", nil, "token 1 is video_token_id 8: videos are not implemented"},
		{"no image", "19", nil, "token 1 is image_token_id 9, but there is no image for it: the text has 0 images"},
		{"one image too few", "9929", pictures(c, [2]int{1, 2}), "token 3 is image_token_id 9, but there is no image for it"},
		{"one image too many", "12", pictures(c, [2]int{1, 2}), "the text has tokens for 0 of its 1 images"},
		{"text inside an image", "9199", pictures(c, [2]int{1, 3}), "image 0 needs 3 image tokens behind each other, token 1 of the text is another"},
		{"an image cut off", "399", pictures(c, [2]int{1, 3}), "image 0 needs 3 image tokens behind each other, token 3 of the text is another"},
		{"frames", "99", with(func(i *imaging.Image) { i.Grid.T = 2 }), "image 0 has 2 frames: videos are not implemented"},
		{"no grid", "99", with(func(i *imaging.Image) { i.Grid = imaging.Grid{} }), "image 0 has a grid of 0×0×0 patches, whose sides must be multiples of 2"},
		{"an odd side", "99", with(func(i *imaging.Image) { i.Grid.W = 3 }), "image 0 has a grid of 1×2×3 patches, whose sides must be multiples of 2"},
		{"pixels that are missing", "99", with(func(i *imaging.Image) { i.Pixels = i.Pixels[1:] }), "image 0 has 191 values, its 2×4 patches of 24 take 192"},
	} {
		err := f.CheckImages(c, &family.Sequence{IDs: ids(tc.ids), Images: tc.images})
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
}

// Names in files and in memory are each other's inverse, but for the head, which
// has one name.
func TestNames(t *testing.T) {
	f, c := small()
	for disk, memory := range map[string]string{
		"visual.blocks.0.attn.qkv.weight":        "model.visual.blocks.0.attn.qkv.weight",
		"model.layers.3.self_attn.q_proj.weight": "model.language_model.layers.3.self_attn.q_proj.weight",
		"model.norm.weight":                      "model.language_model.norm.weight",
		"lm_head.weight":                         "lm_head.weight",
	} {
		if got := f.MemoryName(disk); got != memory {
			t.Errorf("%s is %s in memory, want %s", disk, got, memory)
		}
		if got := f.DiskName(memory); got != disk {
			t.Errorf("%s is %s in files, want %s", memory, got, disk)
		}
		if got := f.DiskName(disk); got != disk {
			t.Errorf("%s is a name of files and became %s", disk, got)
		}
	}
	for name, want := range map[string]family.Part{
		"visual.merger.mlp.0.weight": family.Projector, "visual.patch_embed.proj.weight": family.Tower, "model.norm.weight": family.Text, "lm_head.weight": family.Text,
	} {
		if got := f.Part(c, name); got != want {
			t.Errorf("%s belongs to %v, want %v", name, got, want)
		}
	}
}

// The side of a blank image is rounded to whole merged patches (4 pixels here), one at least.
func TestBlank(t *testing.T) {
	f, c := small()
	for side, merged := range map[int]int{0: 1, 1: 1, 5: 1, 6: 2, 8: 2, 9: 2, 10: 3} {
		img := f.Blank(c, side)
		if want := (imaging.Grid{T: 1, H: 2 * merged, W: 2 * merged}); img.Grid != want {
			t.Errorf("side %d: %v, want %v", side, img.Grid, want)
		}
		if err := f.checkImage(c, &img); err != nil {
			t.Errorf("side %d: %v", side, err)
		}
		if got := f.ImageTokens(c, img.Grid); got != merged*merged {
			t.Errorf("side %d: %d tokens, want %d", side, got, merged*merged)
		}
	}
	two := []imaging.Image{f.Blank(c, 8), f.Blank(c, 4)}
	if got := f.PixelShape(c, two); !slices.Equal(got, []int{16 + 4, 3 * 2 * 2 * 2}) {
		t.Errorf("pixel_values of two images have shape %v", got)
	}
}

func TestProcessorOfAnotherTower(t *testing.T) {
	f, c := small()
	for name, tc := range map[string]struct {
		p    imaging.Processor
		want string
	}{
		"CLIP":     {imaging.NewCLIP(8), "the image processor makes no patches of a Qwen2-VL tower"},
		"patch":    {&imaging.QwenProcessor{Patch: 14, Merge: 2, Temporal: 2}, "makes patches of 14×14 pixels and 2 frames, merged 2×2, config.json's vision_config says 2, 2 and 2"},
		"merge":    {&imaging.QwenProcessor{Patch: 2, Merge: 1, Temporal: 2}, "merged 1×1"},
		"temporal": {&imaging.QwenProcessor{Patch: 2, Merge: 2, Temporal: 1}, "1 frames"},
	} {
		if err := f.CheckProcessor(c, tc.p); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
	if err := f.CheckProcessor(c, &imaging.QwenProcessor{Patch: 2, Merge: 2, Temporal: 2}); err != nil {
		t.Error(err)
	}
}

// Windows of 2×2 merged patches over 3 rows of 5: rows of the tower go window by
// window, those at the right and lower edge are smaller.
func TestWindowsByHand(t *testing.T) {
	_, c := small()
	w := &Config25{WindowSize: 8} // pixels: two merged patches of 4
	v := &images{net: &network{c: c, windows: w}}
	seqs := []family.Sequence{{Images: pictures(c, [2]int{3, 5}), Sample: 4}, {Images: pictures(c, [2]int{1, 1}, [2]int{1, 2}), Sample: 7}}
	for range 2 { // the second time in the same memory
		v.layOut(seqs)
	}
	var own []int32
	for _, u := range v.units {
		own = append(own, u.own)
	}
	// The first image's units are 0…14, row by row; the second's one is 15; the third's are 16 and 17.
	if want := []int32{0, 1, 5, 6, 2, 3, 7, 8, 4, 9, 10, 11, 12, 13, 14, 15, 16, 17}; !slices.Equal(own, want) {
		t.Errorf("units in the order %v, want %v", own, want)
	}
	if want := []int32{16, 16, 8, 8, 8, 4, 4, 8}; !slices.Equal(v.windows.len, want) {
		t.Errorf("windows of %v rows, want %v", v.windows.len, want)
	}
	if start, length := []int32{0, 60, 64}, []int32{60, 4, 8}; !slices.Equal(v.whole.start, start) || !slices.Equal(v.whole.len, length) {
		t.Errorf("images begin at %v with %v rows, want %v and %v", v.whole.start, v.whole.len, start, length)
	}
	next := int32(0)
	for i, s := range v.windows.start {
		if s != next {
			t.Errorf("window %d begins at %d, want %d", i, s, next)
		}
		next += v.windows.len[i]
	}
	// Places count within a sequence, so that dropout does not depend on the batch.
	if u := v.units[17]; u.sample != 7 || u.place != 2 || u.y != 0 || u.x != 1 {
		t.Errorf("the last unit is %+v", u)
	}
}
