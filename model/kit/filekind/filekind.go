// Package filekind recognises what is often found in place of a file of a model
// or data set: what a download left behind, or another format under its name.
package filekind

import (
	"bytes"
	"fmt"
	"regexp"
	"unicode/utf8"
)

// pointerSize is the size in the text that git keeps for a large file (git-lfs,
// pointer files version 1).
var pointerSize = regexp.MustCompile(`\nsize (\d+)\n`)

// HeadLen is how many bytes of a file are looked at.
const HeadLen = 512

// StandIn says what a file that begins with head is when it only stands in place
// of the one that was wanted, whatever that is, and how to get it; it is empty
// for what it does not know.
func StandIn(head []byte) string {
	head = head[:min(len(head), HeadLen)]
	text := bytes.ToLower(bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\uFEFF")), " \t\r\n"))
	first, _, _ := bytes.Cut(head, []byte("\n"))
	switch {
	case bytes.HasPrefix(head, []byte("version https://git-lfs")):
		const fetch = `; fetch that with "git lfs pull" in its clone`
		if size := pointerSize.FindSubmatch(head); size != nil {
			return fmt.Sprintf("a git-lfs pointer that stands for a file of %s bytes", size[1]) + fetch
		}
		return "a git-lfs pointer and not the file it stands for" + fetch
	case utf8.Valid(first) && bytes.Contains(first, []byte("/annex/objects/")):
		return `a git-annex pointer and not the file it stands for; fetch that with "git annex get"`
	case bytes.HasPrefix(text, []byte("<!doctype")), bytes.HasPrefix(text, []byte("<html")):
		return "a web page, as a download gives that was refused; fetch the file again, signed in where that is asked for" +
			" (files of a hub are under /resolve/ where its pages are under /blob/)"
	}
	return ""
}

// Of says what a file of a model's folder that begins with head is instead of
// safetensors or JSON: a stand-in, or a model in another format.
func Of(head []byte) string {
	is := func(magic string) bool { return bytes.HasPrefix(head, []byte(magic)) }
	switch {
	case is("GGUF"):
		return "a GGUF file, which is not read; take the model in safetensors"
	case is("PK\x03\x04"):
		return "a zip archive, as PyTorch writes pickles; save it as safetensors"
	case is("\x89HDF\r\n"):
		return "an HDF5 file, as TensorFlow writes; take the model in safetensors"
	}
	return StandIn(head)
}
