// Package filekind recognises what is often found in place of a file of a model
// or data set: what a download left behind, or another format under its name.
package filekind

import (
	"bytes"
	"fmt"
	"regexp"
)

// pointer is the text that git keeps for a large file (git-lfs, pointer files
// version 1).
var pointer = regexp.MustCompile(`^version https://git-lfs\.github\.com/spec/v1\n(?:.*\n)*size (\d+)\n`)

// HeadLen is how many bytes of a file Of wants to see, or all of it.
const HeadLen = 512

// Of says what a file that begins with head is and how to get the one that was
// wanted; it is empty for what it does not know.
func Of(head []byte) string {
	head = head[:min(len(head), HeadLen)]
	text := bytes.ToLower(bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\uFEFF")), " \t\r\n"))
	switch {
	case pointer.Match(head):
		return fmt.Sprintf("a git-lfs pointer that stands for a file of %s bytes; fetch that with \"git lfs pull\"", pointer.FindSubmatch(head)[1])
	case bytes.HasPrefix(text, []byte("<!doctype html")), bytes.HasPrefix(text, []byte("<html")):
		return "a web page, as a download gives that was refused; fetch the file again, signed in where that is asked for"
	case bytes.HasPrefix(head, []byte("GGUF")):
		return "a GGUF file, which is not read; take the model in safetensors"
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return "a zip archive, as PyTorch writes pickles; save it as safetensors"
	case bytes.HasPrefix(head, []byte("\x89HDF\r\n")):
		return "an HDF5 file, as TensorFlow writes; take the model in safetensors"
	}
	return ""
}
