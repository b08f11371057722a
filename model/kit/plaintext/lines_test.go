package plaintext

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func TestEachLine(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for _, c := range []struct {
		in   string
		want []string
	}{
		{"", nil},
		{"a", []string{"1 a"}},
		{"\uFEFFa\r\n\n \t\n  b c \n", []string{"1 a", "4 b c"}},
		{"\uFEFF\n\uFEFFa\n", []string{"2 \uFEFFa"}}, // only the file's beginning has a mark
		{long + "\nb", []string{"1 " + long, "2 b"}},
	} {
		var got []string
		err := EachLine(strings.NewReader(c.in), func(n int, line []byte) error {
			got = append(got, fmt.Sprintf("%d %s", n, line))
			return nil
		})
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%.40q: %.60q, %v", c.in, got, err)
		}
	}
	broken := errors.New("broken")
	calls := 0
	count := func(int, []byte) error { calls++; return nil }
	if err := EachLine(io.MultiReader(strings.NewReader("a\nhalf"), iotest.ErrReader(broken)), count); !errors.Is(err, broken) || calls != 1 {
		t.Errorf("%v after %d lines; half a line is none", err, calls)
	}
	if err := EachLine(strings.NewReader("a\nb\n"), func(int, []byte) error { calls++; return broken }); !errors.Is(err, broken) || calls != 2 {
		t.Errorf("%v after %d lines", err, calls)
	}
}
