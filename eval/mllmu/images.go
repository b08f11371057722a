package mllmu

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"vgid/eval/dataset"
	"vgid/model/kit/filekind"

	"golang.org/x/text/unicode/norm"
)

// decodeImages reads images (a list) or, where that is null or empty, image (one
// struct), each {bytes, path}; bare bytes or a bare path are taken too. Where there are no
// bytes, path names a file beside the parquet file.
// {bytes, path} is how the datasets library stores an Image feature; path alone is what it writes
// before the pictures are embedded.
func decodeImages(rec map[string]any, where string, beside pictures) ([]dataset.Image, error) {
	var cells []any
	column := "image"
	list, isList := rec["images"].([]any)
	switch {
	case len(list) > 0:
		cells, column = list, "images"
	case rec["image"] != nil:
		cells = []any{rec["image"]}
	case isList:
		return nil, fmt.Errorf("%s: column images is an empty list", where)
	case rec["images"] != nil:
		return nil, fmt.Errorf("%s: column images is %s, want a list", where, describeValue(rec["images"]))
	default:
		return nil, fmt.Errorf("%s: column image is empty and there is no column images; images must be stored in the file, or lie beside it under the names of their paths", where)
	}
	out := make([]dataset.Image, 0, len(cells))
	for i, v := range cells {
		at := where
		if column == "images" {
			at = fmt.Sprintf("%s, image %d", where, i)
		}
		im := dataset.Image{Where: at}
		holds := describeValue(v)
		switch v := v.(type) {
		case []byte:
			im.Bytes = v
		case string:
			im.Path = v
		case map[string]any:
			im.Bytes, _ = v["bytes"].([]byte)
			if _, ok := v["bytes"]; ok {
				holds = "empty bytes"
			}
			im.Path, _ = v["path"].(string)
		}
		var err error
		switch {
		case len(im.Bytes) > 0:
		case im.Path == "":
			return nil, fmt.Errorf("%s: column %s holds %s and no image; images must be stored in the file", at, column, holds)
		default:
			if im.Bytes, err = beside.read(im.Path); err != nil {
				return nil, fmt.Errorf("%s: column %s holds %s and no image, but the path %q, %w; images must be stored in the file or lie there: "+
					"datasets stores them with .with_format('arrow').map(datasets.table.embed_table_storage, batched=True) before to_parquet",
					at, column, holds, im.Path, err)
			}
		}
		out = append(out, im)
	}
	return out, nil
}

// pictures are the files that a parquet file may name instead of holding them:
// those in its own folder and below, never outside, since the names come from
// whoever wrote the file.
// parquet is the path of that file as it was opened, links and all.
type pictures struct {
	parquet string
	note    func(path string) // told of every file that is read
}

// maxPicture bounds what is read of one picture file: a path may name anything,
// and a run should not end for want of memory because of one.
const maxPicture = 1 << 30

// Its errors go on behind "the path NAME, ".
func (p pictures) read(name string) ([]byte, error) {
	if strings.Contains(name, "://") {
		return nil, errors.New("an address, which is not fetched")
	}
	dir := filepath.Dir(p.parquet)
	// filepath.IsLocal and not a prefix of strings: it knows "..", drives and reserved names.
	local := name
	if filepath.IsAbs(name) { // fine where it leads into the folder
		abs, err := filepath.Abs(dir)
		if err != nil {
			return nil, err
		}
		if local, err = filepath.Rel(abs, name); err != nil || !filepath.IsLocal(local) {
			return nil, fmt.Errorf("which is not in the folder %s, and no other is read", dir)
		}
	}
	for _, n := range spellings(local) {
		if !filepath.IsLocal(n) {
			return nil, fmt.Errorf("which leads out of the folder %s, and nothing outside of it is read", dir)
		}
		path := filepath.Join(dir, n)
		// Only a name that is not there sends on to the next spelling: a file that cannot be
		// read is an error of its own.
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := p.holds(path); err != nil {
			return nil, err
		}
		p.note(path)
		return readPicture(path)
	}
	return nil, fmt.Errorf("which is not in the folder %s", dir)
}

// spellings are what a file of that name may be called here: Windows writes other
// slashes, and macOS letters and their accents one by one.
func spellings(name string) []string {
	return []string{name, strings.ReplaceAll(name, `\`, "/"), norm.NFC.String(name), norm.NFD.String(name)}
}

// holds checks where links lead: into the folder of the parquet file, or, where
// that is itself a link (in a hub's cache all files are), into the folder in which
// the file it stands for lies.
func (p pictures) holds(path string) error {
	real, err := realPath(path)
	if err != nil {
		return err
	}
	dir, err := realPath(filepath.Dir(p.parquet))
	if err != nil {
		return err
	}
	target, err := realPath(p.parquet)
	if err != nil {
		return err
	}
	for _, d := range []string{dir, filepath.Dir(target)} {
		if rel, err := filepath.Rel(d, real); err == nil && filepath.IsLocal(rel) {
			return nil
		}
	}
	return fmt.Errorf("a link that leads out of the folder %s, and nothing outside of it is read", filepath.Dir(p.parquet))
}

// realPath follows links. Only whole paths can be compared: some links are, some not.
func realPath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}

// Only regular files: reading a pipe or a device might never end.
func readPicture(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, filekind.Reason(err)
	case !info.Mode().IsRegular():
		return nil, errors.New("which is not a file")
	case info.Size() == 0:
		return nil, errors.New("which is an empty file")
	case info.Size() > maxPicture:
		return nil, fmt.Errorf("a file of %d bytes, more than any picture has", info.Size())
	}
	b, err := os.ReadFile(path)
	return b, filekind.Reason(err)
}
