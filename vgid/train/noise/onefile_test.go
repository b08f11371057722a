package noise

import (
	"slices"
	"strings"
	"testing"

	"vgid/model/hf/imaging"
	"vgid/vgid/config"
)

// A kind of noise that nobody else knows: it turns a picture's values about. This
// registration is all there is to say of it.
func init() {
	Register(Kind{Name: "negative", Order: 100, Doc: "values of the other sign", New: func(Setup) (Disturb, error) {
		return func(dst, src imaging.Image, _ *Source) {
			for i, v := range src.Pixels {
				dst.Pixels[i] = -v
			}
		}, nil
	}})
}

// A kind that is added in one file is a value of the setting, and is applied.
func TestKindIsOneFile(t *testing.T) {
	c, err := config.Load("", map[string]string{"unlearn.noise.kind": "negative"})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range config.Fields() {
		if f.Path == "unlearn.noise.kind" && (!slices.Contains(f.Values, "negative") || !strings.Contains(f.Doc, "; negative: values of the other sign")) {
			t.Errorf("help lists %q, %s", f.Values, f.Doc)
		}
	}
	n, err := New(c.Unlearn.Noise, 1, imaging.Planes(2, 2), 1)
	if err != nil {
		t.Fatal(err)
	}
	if got := n.Apply(imaging.Image{Pixels: []float32{1, -2, 3}}, 0, 0).Pixels; !slices.Equal(got, []float32{-1, 2, -3}) {
		t.Errorf("%v", got)
	}
}

// A kind that nobody registered leaves no picture black: the configuration refuses
// it, and so does who prepares it.
func TestUnknownKind(t *testing.T) {
	const want = `unlearn.noise.kind: "gausian" is not one of uniform-replace, gaussian-replace, gaussian-add, diffusion, patch-mask, none`
	if _, err := config.Load("", map[string]string{"unlearn.noise.kind": "gausian"}); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
	if _, err := New(config.Noise{Kind: "gausian"}, 1, imaging.Planes(2, 2), 1); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
}

// Two kinds of one name would leave it to chance which is applied.
func TestKindIsRegisteredOnce(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a second kind of the same name is accepted")
		}
	}()
	Register(Kind{Name: None, New: func(Setup) (Disturb, error) { return nil, nil }})
}
