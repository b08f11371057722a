package agent

import (
	"bytes"
	"strings"
	"testing"
)

func TestStream(t *testing.T) {
	long := strings.Repeat("x", maxLine+10)
	tests := []struct {
		name   string
		writes []string
		want   string
		last   string
	}{
		{"lines", []string{"a\nb\n"}, "[1] a\n[1] b\n", "b"},
		{"pieces", []string{"a", "b\nc", "\n"}, "[1] ab\n[1] c\n", "c"},
		{"no end", []string{"a\nb"}, "[1] a\n[1] b\n", "b"},
		{"blank lines say nothing", []string{"a\n\n  \n"}, "[1] a\n[1] \n[1]   \n", "a"},
		{"progress", []string{"1%\r2%\r\n"}, "[1] 1%\r2%\n", "2%"},
		{"panic", []string{"panic: boom\n\ngoroutine 1:\nmain.go:3\n"}, "[1] panic: boom\n[1] \n[1] goroutine 1:\n[1] main.go:3\n", "panic: boom"},
		{"escapes", []string{"\x1b[31mred\n"}, "[1] \x1b[31mred\n", "[31mred"},
		{"long", []string{long}, "[1] " + long[:maxLine] + "\n[1] " + long[maxLine:] + "\n", long[maxLine:]},
	}
	last := func(s *stream) string { line, _ := s.words.of(2, 0); return line }
	for _, c := range tests {
		var out, log, raw bytes.Buffer
		s := &stream{out: &out, prefix: "[1] ", log: &log}
		p := &stream{out: &raw}
		for _, w := range c.writes {
			s.Write([]byte(w))
			p.Write([]byte(w))
		}
		s.flush()
		p.flush()
		all := strings.Join(c.writes, "")
		if out.String() != c.want || last(s) != c.last || log.String() != all || raw.String() != all || last(p) != c.last {
			t.Errorf("%s: out %.300q, last %q", c.name, out.String(), last(s))
		}
	}
}
