package tokbench

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

//go:embed testdata/bench_tokenize.py
var script []byte

// reference is the library in a Python process that waits for work.
type reference struct {
	version string
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Scanner
	errs    bytes.Buffer
}

// writeScript puts what every reference reads into dir.
func writeScript(dir string, texts []string) error {
	var lines bytes.Buffer
	e := json.NewEncoder(&lines)
	for _, t := range texts {
		if err := e.Encode(t); err != nil {
			return err
		}
	}
	return errors.Join(os.WriteFile(filepath.Join(dir, "bench_tokenize.py"), script, 0o600),
		os.WriteFile(filepath.Join(dir, "texts.jsonl"), lines.Bytes(), 0o600))
}

// startReference starts python with the script in dir. The context ends it.
func startReference(ctx context.Context, python, dir, tokenizer string, parts, threads int) (*reference, error) {
	r := &reference{cmd: exec.CommandContext(ctx, python, filepath.Join(dir, "bench_tokenize.py"), tokenizer, filepath.Join(dir, "texts.jsonl"), strconv.Itoa(parts))}
	r.cmd.Env = append(os.Environ(), "TOKENIZERS_PARALLELISM="+strconv.FormatBool(threads > 1), "RAYON_NUM_THREADS="+strconv.Itoa(threads))
	r.cmd.Stderr = &r.errs
	var err error
	if r.in, err = r.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	r.out = bufio.NewScanner(out)
	var hello struct{ Version string }
	if err := r.read(&hello); err != nil {
		r.close()
		return nil, fmt.Errorf("%s: %w", python, err)
	}
	r.version = hello.Version
	return r, nil
}

func (r *reference) read(v any) error {
	if r.out.Scan() {
		if err := json.Unmarshal(r.out.Bytes(), v); err != nil {
			return fmt.Errorf("answer %q: %w", r.out.Text(), err)
		}
		return nil
	}
	if err := r.out.Err(); err != nil {
		return err
	}
	// It ended; why stands in the last line that it wrote.
	err := cmp.Or(r.cmd.Wait(), io.ErrUnexpectedEOF)
	last := bytes.TrimSpace(r.errs.Bytes())
	return fmt.Errorf("ended early (%w): %s", err, last[bytes.LastIndexByte(last, '\n')+1:])
}

// seconds encodes a part by a call of the library.
func (r *reference) seconds(call string, part, texts, threads int) (float64, error) {
	if _, err := fmt.Fprintln(r.in, call, part); err != nil {
		return 0, err
	}
	var a struct {
		Wall, CPU float64
		Texts     int
	}
	if err := r.read(&a); err != nil {
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
func (r *reference) ids(dir string) ([][]int32, error) {
	path := filepath.Join(dir, "ids.jsonl")
	if _, err := fmt.Fprintln(r.in, "ids", path); err != nil {
		return nil, err
	}
	if err := r.read(&struct{}{}); err != nil {
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

// close ends the process; how it ends no longer matters.
func (r *reference) close() {
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
}
