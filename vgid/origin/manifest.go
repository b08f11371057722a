package origin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// The most that a manifest from another machine may ask for.
// Far above any model folder: they keep a damaged or a hostile manifest from filling
// memory or disk before a byte of a file has come.
const (
	maxFiles    = 100_000
	maxName     = 1024    // bytes of a name
	maxSize     = 1 << 44 // bytes of a file, 16 TiB
	maxManifest = 64 << 20
)

// Manifest is a folder as one machine sends it to others.
type Manifest struct {
	Folder string `json:"folder"` // below a folder that both have
	Files  List   `json:"files"`  // all that is in it; names are below that folder as well
}

// Encode writes a manifest for other machines.
func (m Manifest) Encode() ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	b, err := json.Marshal(m)
	if err == nil && len(b) > maxManifest {
		err = fmt.Errorf("the list of the files in %s takes %d bytes, more than %d", m.Folder, len(b), maxManifest)
	}
	return b, err
}

// DecodeManifest reads what Encode wrote, on another machine. Every name in it is a
// path inside the folder by its spelling. Where links on the disk lead is for the
// writer of the files to see to.
func DecodeManifest(b []byte) (Manifest, error) {
	var m Manifest
	if len(b) > maxManifest {
		return m, fmt.Errorf("a list of files takes %d bytes, more than %d", len(b), maxManifest)
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return m, fmt.Errorf("a list of files cannot be read: %w", err)
	}
	if err := m.check(); err != nil {
		return Manifest{}, err
	}
	return m, nil
}

// check is asked on both sides: what would be refused is not sent.
func (m Manifest) check() error {
	if err := plain(m.Folder); err != nil {
		return fmt.Errorf("files of the folder %.80q: %w", m.Folder, err)
	}
	if len(m.Files) > maxFiles {
		return fmt.Errorf("the folder %s holds %d files, more than %d", m.Folder, len(m.Files), maxFiles)
	}
	files := make(map[string]bool, len(m.Files))
	for _, f := range m.Files {
		err := f.check()
		switch {
		case err == nil && !strings.HasPrefix(f.Name, m.Folder+"/"):
			err = errors.New("it is not in the folder")
		case err == nil && files[f.Name]:
			err = errors.New("it is there twice")
		}
		if err != nil {
			return fmt.Errorf("files of the folder %s: %.80q: %w", m.Folder, f.Name, err)
		}
		files[f.Name] = true
	}
	for _, f := range m.Files {
		for dir := path.Dir(f.Name); dir != "."; dir = path.Dir(dir) {
			// Such a list could not be written: the second of the two would fail half way.
			if files[dir] {
				return fmt.Errorf("files of the folder %s: %.80q is a file and a folder", m.Folder, dir)
			}
		}
	}
	return nil
}

// check is of one file, whoever sent it.
func (f File) check() error {
	switch {
	case f.Size < 0 || f.Size > maxSize:
		return fmt.Errorf("it has %d bytes", f.Size)
	case len(f.SHA256) != 64 || strings.Trim(f.SHA256, "0123456789abcdef") != "":
		return fmt.Errorf("%.80q is no SHA-256", f.SHA256)
	}
	return plain(f.Name)
}

// plain refuses what is not the path of a file that shows, below a folder.
// Hidden files are other programs', and backslash and colon mean something else elsewhere.
func plain(name string) error {
	switch {
	case len(name) > maxName:
		return fmt.Errorf("the name has %d bytes, more than %d", len(name), maxName)
	case !fs.ValidPath(name) || strings.ContainsAny(name, "\\:\x00"):
		return errors.New("it is no plain path below a folder")
	}
	for part := range strings.SplitSeq(name, "/") {
		if part[0] == '.' { // also the folder itself
			return errors.New("it is hidden")
		}
	}
	return nil
}
