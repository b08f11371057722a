package portrait

import (
	"testing"

	"pgregory.net/rapid"
)

func TestDistanceCountsAttributes(t *testing.T) {
	for a, v := range Values {
		if len(v) > 16 {
			t.Errorf("attribute %d has %d values, more than four bits tell apart", a, len(v))
		}
	}
	face := rapid.Custom(func(t *rapid.T) (f Face) {
		for a := range f {
			f[a] = rapid.Uint8Range(0, uint8(len(Values[a])-1)).Draw(t, "value")
		}
		return f
	})
	rapid.Check(t, func(t *rapid.T) {
		f, g := face.Draw(t, "f"), face.Draw(t, "g")
		want := 0
		for a := range f {
			if f[a] != g[a] {
				want++
			}
		}
		if got := f.Distance(g); got != want {
			t.Fatalf("%v and %v differ in %d, not %d", f, g, want, got)
		}
	})
}
