package mllmu

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestInOrder(t *testing.T) {
	for name, c := range map[string]struct {
		in   []string
		want string // the order, or a part of the error
		bad  bool
	}{
		"free names":            {in: []string{"b.parquet", "a.parquet"}, want: "a.parquet b.parquet"},
		"two of two":            {in: []string{"t-00001-of-00002.parquet", "t-00000-of-00002.parquet"}, want: "t-00000-of-00002.parquet t-00001-of-00002.parquet"},
		"a hash for each part":  {in: []string{"t-00000-of-00002-ffff.parquet", "t-00001-of-00002-0000.parquet"}, want: "t-00000-of-00002-ffff.parquet t-00001-of-00002-0000.parquet"},
		"counted from one":      {in: []string{"t-00001-of-00002.parquet", "t-00002-of-00002.parquet"}, want: "t-00001-of-00002.parquet t-00002-of-00002.parquet"},
		"the second missing":    {in: []string{"t-00000-of-00002.parquet"}, want: "t-00001-of-00002.parquet is missing: the set has 2 parts and 1 of them is here", bad: true},
		"the first missing":     {in: []string{"t-00001-of-00002-ab.parquet"}, want: "t-00000-of-00002.parquet is missing", bad: true},
		"many missing":          {in: []string{"t-00003-of-00900.parquet"}, want: "t-00000-of-00900.parquet, t-00001-of-00900.parquet, t-00002-of-00900.parquet and 896 more are missing", bad: true},
		"a part of two uploads": {in: []string{"t-00000-of-00001-ab.parquet", "t-00000-of-00001-cd.parquet"}, want: "t-00000-of-00001-ab.parquet and t-00000-of-00001-cd.parquet are the same part of two versions", bad: true},
		"two totals":            {in: []string{"t-00000-of-00001.parquet", "t-00000-of-00002.parquet", "t-00001-of-00002.parquet"}, want: "two versions, in 1 parts and in 2", bad: true},
		"two splits":            {in: []string{"test-00000-of-00001.parquet", "train-00000-of-00001.parquet"}, want: "are of two tables", bad: true},
		"a copy beside":         {in: []string{"t-00000-of-00001.parquet", "t-00000-of-00001 (1).parquet"}, want: "does not belong to t-00000-of-00001.parquet", bad: true},
		"one too many":          {in: []string{"t-00000-of-00001.parquet", "t-00004-of-00001.parquet"}, want: "t-00004-of-00001.parquet is no part of a set of 1", bad: true},
		"of none":               {in: []string{"t-00000-of-00000.parquet"}, want: "no part of a set of 0", bad: true},
	} {
		got, err := inOrder(c.in)
		if said := strings.Join(got, " "); !c.bad && (err != nil || said != c.want) {
			t.Errorf("%s: %q, %v", name, said, err)
		}
		if c.bad && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// A whole set in any order is put in order; without any one of its parts it is
// refused, and the part named.
func TestInOrderIsWholeOrNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "parts")
		base := rapid.IntRange(0, 1).Draw(t, "first number")
		hashed := rapid.Bool().Draw(t, "hashed")
		plain, names := make([]string, n), make([]string, n)
		for i := range names {
			plain[i] = fmt.Sprintf("s-%05d-of-%05d", i+base, n)
			names[i] = plain[i] + ".parquet"
			if hashed {
				names[i] = plain[i] + "-" + rapid.StringMatching("[0-9a-f]{16}").Draw(t, "hash") + ".parquet"
			}
		}
		mixed := rapid.Permutation(names).Draw(t, "order")
		got, err := inOrder(mixed)
		if err != nil || !slices.Equal(got, names) {
			t.Fatalf("%v: %v, want %v", err, got, names)
		}
		if n == 1 {
			return
		}
		gone := rapid.IntRange(0, n-1).Draw(t, "gone")
		if base == 1 && gone == n-1 {
			return // the last of those counted from one: the others look counted from zero
		}
		_, err = inOrder(slices.DeleteFunc(mixed, func(s string) bool { return s == names[gone] }))
		if err == nil || !strings.Contains(err.Error(), plain[gone]+".parquet") {
			t.Fatalf("without %s: %v", names[gone], err)
		}
	})
}
