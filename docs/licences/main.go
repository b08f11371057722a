// Command licences lists what the binaries are linked with: module, version,
// licence and copyright, as "make notice" writes them to docs/NOTICE. With
// -texts it copies the licences' full texts out of the module cache.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	texts := flag.String("texts", "", "folder for the full texts; without it the list is written to standard output")
	flag.Parse()
	if err := run(*texts); err != nil {
		fmt.Fprintln(os.Stderr, "licences:", err)
		os.Exit(1)
	}
}

// run works on the module in the current folder, as make starts it.
func run(texts string) error {
	modules, err := linked(".")
	if err != nil {
		return err
	}
	if texts != "" {
		return copyTexts(modules, texts)
	}
	list, err := notice(modules)
	if err != nil {
		return err
	}
	_, err = os.Stdout.WriteString(list)
	return err
}

// copyTexts writes each licence file to dir under its module's path.
// Texts are copied whole: licences ask for their own words beside a binary, and not for a
// list of names. A file of the same name is written over.
func copyTexts(modules []module, dir string) error {
	for _, m := range modules {
		for _, f := range m.files {
			text, err := os.ReadFile(f)
			if err != nil {
				return err
			}
			name, err := filepath.Rel(m.dir, f)
			if err != nil {
				return err
			}
			to := filepath.Join(dir, strings.ReplaceAll(m.path, " ", "_"), name)
			if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(to, text, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}
