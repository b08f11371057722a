package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"vgid/collective/flight"
	"vgid/model/kit/safefile"
)

// merged is the name of the file that holds the records of all ranks.
const merged = "calls.json"

// records is the folder in which workers leave a record of their last calls when their
// communication fails: that of the logs, or one for temporary files that only then is made.
// Its name cannot be guessed, as others may write beside it.
type records struct{ dir string }

// newRecords removes from a folder of logs what an earlier job left there.
// No worker has begun then, here or on a node that shares the folder: they begin when all agents agree.
func newRecords(logDir string) (records, error) {
	if logDir == "" {
		return records{filepath.Join(os.TempDir(), "vgid-calls-"+rand.Text())}, nil
	}
	abs, err := filepath.Abs(logDir) // a worker may work in another folder
	if err != nil {
		return records{}, fmt.Errorf("--log-dir %s: %w", logDir, err)
	}
	r := records{abs}
	return r, r.remove()
}

// files are the records of workers.
func (r records) files() ([]string, error) {
	return filepath.Glob(filepath.Join(escape(r.dir), "rank*.calls.json"))
}

// escape has a pattern take the name of a folder as it is.
func escape(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

// remove takes the records away, as a job that went well leaves none.
func (r records) remove() error {
	files, err := r.files()
	if err != nil {
		return err
	}
	for _, f := range append(files, filepath.Join(r.dir, merged)) {
		if e := os.Remove(f); e != nil && !errors.Is(e, os.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// merge makes one file of the records that there are, and gives the story they tell with the name of that
// file; empty if there are none. Those of ranks on other nodes are among them where the folder is shared.
func (r records) merge() (string, error) {
	files, err := r.files()
	if err != nil || len(files) == 0 {
		return "", err
	}
	var all []flight.Record
	var bad error // a record that cannot be read does not keep the others
	for _, f := range files {
		some, err := flight.Read(f)
		all, bad = append(all, some...), errors.Join(bad, err)
	}
	if len(all) == 0 {
		return "", bad
	}
	story, err := flight.Merge(all)
	if err != nil {
		return "", errors.Join(bad, fmt.Errorf("%s: %w", r.dir, err))
	}
	b, err := json.Marshal(story)
	if err != nil {
		return "", err
	}
	path := filepath.Join(r.dir, merged)
	if err := safefile.WriteBytes(path, append(b, '\n')); err != nil {
		return story.Line, errors.Join(bad, err)
	}
	return fmt.Sprintf("%s (its last calls: vgid-launch explain %s)", story.Line, quoted(path)), bad
}

// quoted is a path as a shell takes it.
func quoted(path string) string {
	if !strings.ContainsAny(path, " \t\n'\"\\$`*?[]{}()<>|&;!#~") {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// tell prints the story, where there is one, ahead of the last line.
// What keeps the records from being read is a line too, but no reason to fail: the job has its cause.
func (r records) tell() {
	line, err := r.merge()
	if err != nil {
		fmt.Fprintf(os.Stderr, "vgid-launch: the records of the workers' calls: %s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	if line != "" {
		fmt.Fprintf(os.Stderr, "vgid-launch: %s\n", line)
	}
}

// explainCommand shows records to a person.
func explainCommand() *cli.Command {
	return &cli.Command{
		Name:      "explain",
		Usage:     "show what the ranks of a job that failed were doing, of the records that it left",
		UsageText: "vgid-launch explain FILE…   (" + merged + ", or the rank*.calls.json of several nodes together)",
		Action: func(c *cli.Context) error {
			if c.NArg() == 0 {
				return errors.New("explain: no file given; the last lines of a job that failed name it")
			}
			all, err := flight.Read(c.Args().Slice()...)
			if err != nil {
				return err
			}
			story, err := flight.Merge(all)
			if err != nil {
				return err
			}
			return story.Table(os.Stdout)
		},
	}
}
