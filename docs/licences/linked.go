package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// module is one that a binary is linked with.
// files lie in dir or below it: a package may be under another licence than its module.
type module struct {
	path, version string
	dir           string
	files         []string // its licences and notices, sorted
}

// builds are what is distributed: the default binary and the one for GPUs. Who
// links what hardly depends on the system, but it does.
var builds = []struct{ system, processor, tags string }{
	{"linux", "amd64", ""}, {"linux", "amd64", "cuda"}, {"linux", "arm64", ""}, {"darwin", "arm64", ""},
}

// linked lists the modules that the commands of the module in root are linked
// with, and Go itself, sorted by path.
//
// Only packages that are linked count, not all that go.mod names: what tests alone use is
// in no binary, and needs no notice.
func linked(root string) ([]module, error) {
	found := map[string]*module{}
	for _, b := range builds {
		cmd := exec.Command("go", "list", "-deps", "-json=Dir,Standard,Module", "-tags", b.tags, "./cmd/vgid", "./cmd/vgid-launch") //nolint:noctx // it ends by itself
		cmd.Dir = root
		// As the Makefile builds them: static, but for the tag cuda, whose files need cgo.
		cmd.Env = append(os.Environ(), "GOOS="+b.system, "GOARCH="+b.processor, "CGO_ENABLED="+map[string]string{"": "0", "cuda": "1"}[b.tags])
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		if err := add(found, out); err != nil {
			return nil, err
		}
	}
	goRoot, err := exec.Command("go", "env", "GOROOT").Output() //nolint:noctx // it ends by itself
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	// go list counts the standard library as no module, but its licence asks for a notice, too.
	std := &module{path: "Go (standard library and runtime)", dir: strings.TrimSpace(string(goRoot))}
	if std.files, err = licencesIn(std.dir); err != nil {
		return nil, err
	}
	found[std.path] = std
	var all []module
	for _, path := range slices.Sorted(maps.Keys(found)) {
		m := found[path]
		// A folder above several packages was looked at for each of them.
		slices.Sort(m.files)
		m.files = slices.Compact(m.files)
		all = append(all, *m)
	}
	return all, nil
}

// add takes the packages that go list names, with the licences in their folders
// and above them.
// The modules of the project itself and the standard library are passed over. list is a
// stream of JSON objects, one a package, as go list -json writes it.
func add(found map[string]*module, list []byte) error {
	for d := json.NewDecoder(bytes.NewReader(list)); ; {
		var p struct {
			Dir      string
			Standard bool
			Module   *struct {
				Path, Version, Dir string
				Main               bool
			}
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("go list: %w", err)
		}
		if p.Standard || p.Module == nil || p.Module.Main {
			continue
		}
		m := found[p.Module.Path]
		if m == nil {
			m = &module{path: p.Module.Path, version: p.Module.Version, dir: p.Module.Dir}
			found[m.path] = m
		}
		// From the package up to its module: a copied-in package brings a licence of its own, which
		// lies beside it.
		for dir := p.Dir; ; dir = filepath.Dir(dir) {
			files, err := licencesIn(dir)
			if err != nil {
				return err
			}
			m.files = append(m.files, files...)
			if dir == m.dir || len(dir) <= len(m.dir) {
				break
			}
		}
	}
}

// licenceName takes either spelling, and NOTICE and PATENTS, which Apache-2.0 and Go's own licence
// have beside theirs.
var licenceName = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)([-._].*)?$`)

// licencesIn lists the files of one folder that say what it is under; license.go would be code.
func licencesIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if e.Type().IsRegular() && licenceName.MatchString(e.Name()) && !strings.HasSuffix(e.Name(), ".go") {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	return files, nil
}
