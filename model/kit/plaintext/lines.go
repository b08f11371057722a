package plaintext

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// byteOrderMark is what some editors begin a UTF-8 file with; it is no part of
// the text.
var byteOrderMark = []byte("\uFEFF")

// WithoutMark is text without the byte order mark that some editors begin a file
// with.
func WithoutMark(text []byte) []byte { return bytes.TrimPrefix(text, byteOrderMark) }

// EachLine calls f with every line that is not blank, numbered from 1, without
// the white space around it and the file's byte order mark. Lines may be of any
// length. It ends at the first error, of in or of f.
func EachLine(in io.Reader, f func(n int, line []byte) error) error {
	r := bufio.NewReader(in)
	for n := 1; ; n++ {
		line, err := r.ReadBytes('\n')
		if n == 1 {
			line = WithoutMark(line)
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			if err := f(n, line); err != nil {
				return err
			}
		}
		if err != nil {
			return nil
		}
	}
}
