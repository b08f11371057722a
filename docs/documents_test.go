package docs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestLinks follows the links between the documents to files and folders.
func TestLinks(t *testing.T) {
	var files []string
	for _, pattern := range []string{"../*.md", "*.md", "../findings/*.md"} {
		more, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, more...)
	}
	followed := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			to, _, _ := strings.Cut(m[1], "#")
			if to == "" || strings.Contains(to, "://") {
				continue
			}
			followed++
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), to)); errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: the link to %s leads nowhere", filepath.Clean(file), m[1])
			}
		}
	}
	if followed < 20 {
		t.Errorf("only %d links were found in %v", followed, files)
	}
}

// span is code in a document that names a file or a folder of this module.
var span = regexp.MustCompile("`((?:cmd|collective|docs|eval|launch|model|vgid|\\.ci)/[\\w./-]*)`")

// TestPaths looks for the files and folders that documents name without a link, so
// that what is moved or renamed takes its name along.
func TestPaths(t *testing.T) {
	files, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range append(files, "../README.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range span.FindAllStringSubmatch(string(text), -1) {
			if m[1] == "vgid/launch.key" { // below the user's configuration folder
				continue
			}
			seen++
			if _, err := os.Stat(filepath.Join("..", m[1])); err != nil {
				t.Errorf("%s names %s, which is not there", filepath.Clean(file), m[1])
			}
		}
	}
	if seen < 100 {
		t.Errorf("only %d paths were found", seen)
	}
}

var findingRow = regexp.MustCompile(`(?m)^\| \[([a-z0-9_]+\.sh)\]\([a-z0-9_]+\.sh\) \| ([^|]+) \| [^|]+ \|$`)

// TestFindings holds findings/README.md against the scripts: a row for each, and
// the versions that they install.
func TestFindings(t *testing.T) {
	text, err := os.ReadFile("../findings/README.md")
	if err != nil {
		t.Fatal(err)
	}
	var named []string
	for _, m := range findingRow.FindAllStringSubmatch(string(text), -1) {
		named = append(named, m[1])
		script, err := os.ReadFile("../findings/" + m[1])
		if err != nil {
			t.Error(err)
			continue
		}
		for _, library := range strings.Split(m[2], ", ") {
			pip := " " + strings.Replace(library, " ", "==", 1)
			if !strings.Contains(string(script), pip) && !strings.Contains(string(script), "require "+library) {
				t.Errorf("findings/README.md: %s does not install %s", m[1], library)
			}
		}
	}
	scripts, err := filepath.Glob("../findings/*.sh")
	if err != nil {
		t.Fatal(err)
	}
	for i := range scripts {
		scripts[i] = filepath.Base(scripts[i])
	}
	if slices.Sort(named); !slices.Equal(named, scripts) {
		t.Errorf("findings/README.md has rows for %v, the scripts are %v", named, scripts)
	}
}

// A word of the glossary lives where it says.
func TestGlossaryNamesFolders(t *testing.T) {
	text, err := os.ReadFile("glossary.md")
	if err != nil {
		t.Fatal(err)
	}
	words := 0
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 {
			continue
		}
		for _, m := range ticked.FindAllStringSubmatch(cells[3], -1) {
			words++
			if s, err := os.Stat("../" + m[1]); err != nil || !s.IsDir() {
				t.Errorf("%s: there is no folder %s", strings.TrimSpace(cells[1]), m[1])
			}
		}
	}
	if words == 0 {
		t.Error("no word of the glossary has a folder")
	}
}

// Code lies in the folders that were given; one more is a decision of its own.
func TestTopLevel(t *testing.T) {
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	given := []string{"bin", "cmd", "collective", "deploy", "docs", "eval", "findings", "launch", "model", "runs", "vgid"}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") && !slices.Contains(given, e.Name()) {
			t.Errorf("the folder %s is none of the top level's", e.Name())
		}
	}
}
