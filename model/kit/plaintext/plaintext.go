// Package plaintext refuses text that is not valid UTF-8, with the place and a
// guess at the encoding, and reads files of one value a line. Go's decoders
// silently put U+FFFD in place of invalid bytes and of unpaired surrogates: a
// model would be trained on names that nobody wrote.
package plaintext

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Check is nil for valid UTF-8. An error names the first byte that is none,
// counted from 1, and what the text may be instead.
func Check(text []byte) error {
	if bytes.HasPrefix(text, []byte{0xFF, 0xFE}) || bytes.HasPrefix(text, []byte{0xFE, 0xFF}) {
		return errors.New("this is UTF-16; save the file as UTF-8")
	}
	if utf8.Valid(text) {
		return nil
	}
	at := 0
	for at < len(text) {
		r, size := utf8.DecodeRune(text[at:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		at += size
	}
	return fmt.Errorf("byte %d (0x%02X) is no UTF-8, as in a file of another encoding (Windows-1252, GBK …); save the file as UTF-8", at+1, text[at])
}

// CheckJSON is Check for JSON, whose escapes can spell half a character as well:
// "\ud83d" alone, where an emoji was cut in two.
func CheckJSON(text []byte) error {
	if err := Check(text); err != nil {
		return err
	}
	for i := 0; ; {
		slash := bytes.IndexByte(text[i:], '\\')
		if slash < 0 {
			return nil
		}
		i += slash
		r, ok := escape(text[i:])
		switch {
		case !ok:
			i += 2 // \n, \\ and the like; what is no escape at all is for the decoder to say
			if i > len(text) {
				return nil
			}
		case !utf16.IsSurrogate(r):
			i += 6
		default:
			low, ok := escape(text[i+6:])
			if !ok || utf16.DecodeRune(r, low) == utf8.RuneError {
				return fmt.Errorf(`%s at byte %d is half a character, as is left where a text was cut; take it out`, text[i:i+6], i+1)
			}
			i += 12
		}
	}
}

// escape is the code unit of an escape \uXXXX that text begins with.
func escape(text []byte) (rune, bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	return rune(n), err == nil
}
