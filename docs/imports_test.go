// Package docs tests what the documents beside it say of the code: the imports
// that architecture.md allows, the links, the notices of what is linked.
package docs

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// row is a line of architecture.md's table. It speaks for its folders and for
// all below them that have no row of their own; packages of one row may import
// each other.
type row struct {
	name    string // the first of its folders
	folders []string
	allowed []string // names of folders of other rows
	all     bool     // may import everything
}

var ticked = regexp.MustCompile("`([^`]+)`")

// readTable reads the lines "| `folder`, … | what | `folder`, … |".
func readTable(text string) []row {
	var rows []row
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 5 || !strings.HasPrefix(strings.TrimSpace(cells[1]), "`") {
			continue
		}
		r := row{all: strings.TrimSpace(cells[3]) == "everything"}
		for _, m := range ticked.FindAllStringSubmatch(cells[1], -1) {
			r.folders = append(r.folders, m[1])
		}
		for _, m := range ticked.FindAllStringSubmatch(cells[3], -1) {
			r.allowed = append(r.allowed, m[1])
		}
		r.name = r.folders[0]
		rows = append(rows, r)
	}
	return rows
}

// rowOf is the row whose folder is the longest that holds the package, nil if
// there is none.
func rowOf(rows []row, pkg string) *row {
	var best *row
	length := -1
	for i := range rows {
		for _, f := range rows[i].folders {
			if (pkg == f || strings.HasPrefix(pkg, f+"/")) && len(f) > length {
				best, length = &rows[i], len(f)
			}
		}
	}
	return best
}

// faults compares the table with the imports of each package, both ways.
func faults(rows []row, imports map[string][]string) []string {
	var out []string
	used := map[string]bool{}
	for pkg, list := range imports {
		from := rowOf(rows, pkg)
		if from == nil {
			out = append(out, pkg+" has no row in the table")
			continue
		}
		used[from.name] = true
		for _, imported := range list {
			to := rowOf(rows, imported)
			switch {
			case to == nil || to == from || from.all:
			case !slices.ContainsFunc(to.folders, func(f string) bool { return slices.Contains(from.allowed, f) }):
				out = append(out, pkg+" imports "+imported+", which the row of "+from.name+" does not allow")
			default:
				for _, f := range to.folders {
					used[from.name+" "+f] = true
				}
			}
		}
	}
	for _, r := range rows {
		if !used[r.name] {
			out = append(out, "the row of "+r.name+" speaks of no package")
		}
		for _, f := range r.allowed {
			if to := rowOf(rows, f); to == nil || !slices.Contains(to.folders, f) {
				out = append(out, "the row of "+r.name+" allows "+f+", which has no row")
			} else if !used[r.name+" "+f] {
				out = append(out, "the row of "+r.name+" allows "+f+", which it does not import")
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// circle is a way along allowed arrows that ends where it began, nil if there
// is none.
func circle(rows []row) []string {
	const open, done = 1, 2
	state := map[string]int{}
	var way []string
	var visit func(r *row) []string
	visit = func(r *row) []string {
		way = append(way, r.name)
		switch state[r.name] {
		case open:
			return way[slices.Index(way, r.name):]
		case done:
			way = way[:len(way)-1]
			return nil
		}
		state[r.name] = open
		for _, f := range r.allowed {
			if to := rowOf(rows, f); to != nil {
				if found := visit(to); found != nil {
					return found
				}
			}
		}
		state[r.name] = done
		way = way[:len(way)-1]
		return nil
	}
	for i := range rows {
		if found := visit(&rows[i]); found != nil {
			return found
		}
	}
	return nil
}

// goList is the imports of every package of the module from the module, by
// their folders, for the default build and the one with -tags cuda. Those of
// test files do not count.
func goList(t *testing.T) map[string][]string {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("SKIPPED: there is no go command to list the imports with")
	}
	imports := map[string][]string{}
	for _, tags := range []string{"", "cuda"} {
		cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,GoFiles,CgoFiles,Imports", "-tags", tags, "./...")
		cmd.Dir = ".."
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		for d := json.NewDecoder(bytes.NewReader(out)); ; {
			var p struct {
				ImportPath                 string
				GoFiles, CgoFiles, Imports []string
			}
			if err := d.Decode(&p); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			if len(p.GoFiles)+len(p.CgoFiles) == 0 {
				continue
			}
			name := strings.TrimPrefix(p.ImportPath, module)
			if imports[name] == nil {
				imports[name] = []string{} // also one without imports has to have a row
			}
			for _, i := range p.Imports {
				if inside, ok := strings.CutPrefix(i, module); ok {
					imports[name] = append(imports[name], inside)
				}
			}
		}
	}
	return imports
}

const module = "vgid/"

// TestImports holds the third column of architecture.md's table.
func TestImports(t *testing.T) {
	text, err := os.ReadFile("architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := readTable(string(text))
	if len(rows) < 10 {
		t.Fatalf("architecture.md: %d rows of its table were understood", len(rows))
	}
	for _, f := range faults(rows, goList(t)) {
		t.Errorf("architecture.md: %s", f)
	}
	if c := circle(rows); c != nil {
		t.Errorf("architecture.md: arrows go in a circle: %s", strings.Join(c, " → "))
	}
}

func TestImportFaults(t *testing.T) {
	const table = `
| folder | what lives there | may import |
|---|---|---|
| ` + "`base` | the ground | – |" + `
| ` + "`tool`, `tool/x` | two | `base` |" + `
| ` + "`top` | all | everything |\n"
	rows := readTable(table)
	if len(rows) != 3 {
		t.Fatalf("%d rows", len(rows))
	}
	for name, c := range map[string]struct {
		imports map[string][]string
		want    string
	}{
		"as allowed": {map[string][]string{"base": nil, "base/in": {"base"}, "tool": {"base", "tool/x"}, "tool/x": nil, "top": {"tool", "base/in"}}, ""},
		"upward": {map[string][]string{"base": nil, "base/in": {"tool"}, "tool": {"base"}, "top": nil},
			"base/in imports tool, which the row of base does not allow"},
		"no row":  {map[string][]string{"base": nil, "tool/x": {"base"}, "top": nil, "loft": nil}, "loft has no row in the table"},
		"unused":  {map[string][]string{"base": nil, "tool": nil, "top": nil}, "the row of tool allows base, which it does not import"},
		"nothing": {map[string][]string{"base": nil, "tool": {"base"}}, "the row of top speaks of no package"},
	} {
		if got := strings.Join(faults(rows, c.imports), "; "); got != c.want {
			t.Errorf("%s: %q, not %q", name, got, c.want)
		}
	}
	if c := circle(rows); c != nil {
		t.Errorf("a circle where there is none: %v", c)
	}
	rows[0].allowed = []string{"tool/x"}
	if c := circle(rows); strings.Join(c, " ") != "base tool base" && strings.Join(c, " ") != "tool base tool" {
		t.Errorf("the circle is %v", c)
	}
}
