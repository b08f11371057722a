package hf

import (
	"encoding/json"
	"io"
	"os"

	"vgid/model/kit/safefile"
)

// syncDir makes renames in dir durable: until a folder is synced, a crash may bring
// back names that were there before.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// WriteJSON writes v as indented JSON, leaving <, > and & readable.
// Keys of a map are sorted, so that the same settings give the same bytes.
// It replaces a file whole or not at all (safefile).
func WriteJSON(path string, v any) error {
	return safefile.Write(path, func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(v)
	})
}
