package model

import (
	"strings"
	"testing"

	"vgid/model/hf/imaging"
	"vgid/model/ref"
)

func TestQwenSequencesThatDoNotFitAreRefused(t *testing.T) {
	m, err := Load(t.Context(), ref.New(), "testdata/golden/qwen2_mha")
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	img, video := int32(m.Config.ImageTokenID), int32(m.Config.Mark().VideoID)
	image := func(h, w int) imaging.Image {
		return imaging.Image{Pixels: make([]float32, h*w*24), Grid: imaging.Grid{T: 1, H: h, W: w}}
	}
	odd, frames, short := image(2, 3), image(2, 2), image(2, 2)
	frames.Grid.T, short.Pixels = 2, short.Pixels[1:]
	for _, tt := range []struct {
		s    Sequence
		want string
	}{
		{Sequence{IDs: []int32{1, img}}, "no image"},
		{Sequence{IDs: []int32{1, 2}, Images: []imaging.Image{image(2, 2)}}, "tokens for 0 of its 1 images"},
		{Sequence{IDs: []int32{1, img, 2, img}, Images: []imaging.Image{image(2, 4)}}, "image 0 needs 2 image tokens behind each other"},
		{Sequence{IDs: []int32{1, img}, Images: []imaging.Image{image(2, 4)}}, "image 0 needs 2"},
		{Sequence{IDs: []int32{1, video}}, "video_token_id"},
		{Sequence{IDs: []int32{1, img}, Images: []imaging.Image{odd}}, "2×3"},
		{Sequence{IDs: []int32{1, img, img}, Images: []imaging.Image{frames}}, "2 frames"},
		{Sequence{IDs: []int32{1, img}, Images: []imaging.Image{short}}, "95 values"},
	} {
		if _, err := m.Pack([]Sequence{tt.s}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error %v, want it to say %q", err, tt.want)
		}
	}
}
