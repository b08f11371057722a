package people

import (
	"crypto/sha256"
	"fmt"
	"runtime"
	"testing"

	"vgid/vgid/people/portrait"
)

// The shipped base model knows exactly these people: other texts or faces under
// their names, and it knows nobody. A change that is meant needs the model trained
// anew, and then the digests that this test prints.
func TestTheCelebritiesAreThoseOfTheShippedModel(t *testing.T) {
	celebrities, err := Celebrities(BaseCelebrities)
	if err != nil {
		t.Fatal(err)
	}
	texts, pixels := sha256.New(), sha256.New()
	for _, p := range celebrities {
		fmt.Fprintln(texts, p.ID, p.Facts, p.Face.Describe(), p.EvalQuestions(CelebritySeed), p.TrainPairs(CelebritySeed, OptionStyle))
		for view := range 2 {
			pixels.Write(portrait.View(p.Face, 48, CelebritySeed, p.ID, view).Pix)
		}
	}
	if got, want := fmt.Sprintf("%x", texts.Sum(nil)), "c0ed19f778c3b21fdbaf84ab62b117e6f95762d2d606729686a9cd4d02779073"; got != want {
		t.Errorf("texts have digest %s, want %s", got, want)
	}
	if runtime.GOARCH != "amd64" {
		t.Skipf("the pixels' digest is of amd64; on %s a product and a sum may be rounded once", runtime.GOARCH)
	}
	if got, want := fmt.Sprintf("%x", pixels.Sum(nil)), "8066b868980e3aaf54a1ed91c1a9cdd220e4271da79494c39b63228ebee74a8c"; got != want {
		t.Errorf("pixels have digest %s, want %s", got, want)
	}
}
