package tokbench

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"vgid/model/kit/measure/bench"
)

//go:embed testdata/bench_tokenize.py
var script []byte

// The script is built in, as the bench is part of a program that is installed without its
// sources.
const scriptFile, textsFile = "bench_tokenize.py", "texts.jsonl"

// reference is the library in a Python process that waits for work.
// Questions and answers are lines of its standard input and output (package bench).
type reference struct {
	*bench.Peer
	version string
}

// scripts are the files that every reference reads.
func scripts(texts []string) (map[string][]byte, error) {
	var lines bytes.Buffer
	e := json.NewEncoder(&lines)
	for _, t := range texts {
		if err := e.Encode(t); err != nil {
			return nil, err
		}
	}
	return map[string][]byte{scriptFile: script, textsFile: lines.Bytes()}, nil
}

// startReference starts python with the script in dir. The context ends it.
// The number of threads is the environment's to say, so each number of them has a process of its
// own.
func startReference(ctx context.Context, python, dir, tokenizer string, parts, threads int) (*reference, error) {
	cmd := exec.CommandContext(ctx, python, filepath.Join(dir, scriptFile), tokenizer, filepath.Join(dir, textsFile), strconv.Itoa(parts))
	cmd.Env = append(os.Environ(), "TOKENIZERS_PARALLELISM="+strconv.FormatBool(threads > 1), "RAYON_NUM_THREADS="+strconv.Itoa(threads))
	var hello struct{ Version string }
	p, err := bench.Start(cmd, &hello)
	return &reference{p, hello.Version}, err
}

// seconds encodes a part by a call of the library.
// The clocks are those of vgid's side: processor time on one thread, time that passes on several.
// A number of texts that differs is another part than was meant.
func (r *reference) seconds(call string, part, texts, threads int) (float64, error) {
	var a struct {
		Wall, CPU float64
		Texts     int
	}
	if err := r.Ask(&a, call, part); err != nil {
		return 0, err
	}
	if a.Texts != texts {
		return 0, fmt.Errorf("%s encoded %d texts of %d", call, a.Texts, texts)
	}
	if threads == 1 {
		return a.CPU, nil
	}
	return a.Wall, nil
}

// ids gives the library's ids of all texts.
// They come in a file and not by the pipe of commands and answers.
func (r *reference) ids(dir string) ([][]int32, error) {
	path := filepath.Join(dir, "ids.jsonl")
	if err := r.Ask(&struct{}{}, "ids", path); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all [][]int32
	for d := json.NewDecoder(f); d.More(); {
		var ids []int32
		if err := d.Decode(&ids); err != nil {
			return nil, fmt.Errorf("ids of text %d: %w", len(all), err)
		}
		all = append(all, ids)
	}
	return all, nil
}
