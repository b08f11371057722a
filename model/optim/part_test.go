package optim

import (
	"slices"
	"strings"
	"testing"
)

// Parts are whole or refused; what is owned is put together where it meets.
func TestOwned(t *testing.T) {
	for _, c := range []struct {
		name  string
		parts []Part
		n     int
		want  []stretch
		err   string
	}{
		{"one", []Part{{Len: 7, Count: 1, Own: true}}, 7, []stretch{{0, 7, 0}}, ""},
		{"the second of two, in two buckets and a rest", []Part{{0, 3, 2, 5, false}, {3, 2, 2, 5, true}, {10, 1, 1, 1, false}, {11, 1, 1, 1, true}}, 12,
			[]stretch{{3, 5, 0}, {8, 10, 2}, {11, 12, 4}}, ""},
		{"neighbours", []Part{{0, 3, 1, 3, true}, {3, 2, 1, 2, true}}, 5, []stretch{{0, 5, 0}}, ""},
		{"nothing of its own", []Part{{0, 5, 1, 5, false}, {5, 0, 1, 5, true}}, 5, nil, ""},
		{"a gap", []Part{{0, 3, 1, 3, true}, {4, 1, 1, 1, true}}, 5, nil, "leave element 3 out"},
		{"twice", []Part{{0, 3, 1, 3, true}, {2, 3, 1, 3, true}}, 5, nil, "have it twice"},
		{"too few", []Part{{0, 3, 1, 3, true}}, 5, nil, "have 3 elements, 5 are trained"},
	} {
		got, elements, err := owned(c.parts, c.n)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v, want %q", c.name, err, c.err)
			}
			continue
		}
		sum := 0
		for _, s := range c.want {
			sum += s.to - s.from
		}
		if err != nil || !slices.Equal(got, c.want) || elements != sum {
			t.Errorf("%s: %v of %d elements, %v; want %v", c.name, got, elements, err, c.want)
		}
	}
}
