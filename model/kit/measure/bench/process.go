package bench

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Folder writes files, by their names, into a new temporary folder: a script
// that is embedded, and what it reads. remove takes it away.
func Folder(files map[string][]byte) (dir string, remove func(), err error) {
	if dir, err = os.MkdirTemp("", "vgid-bench-"); err != nil {
		return "", nil, err
	}
	remove = func() { _ = os.RemoveAll(dir) }
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			remove()
			return "", nil, err
		}
	}
	return dir, remove, nil
}

// Output runs a process to its end and gives what it printed. The error of one
// that fails has the last line that it wrote to standard error; where ctx, which
// cmd was made with, ended it, the error is why.
func Output(ctx context.Context, cmd *exec.Cmd) ([]byte, error) {
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, withLastLine(cmp.Or(context.Cause(ctx), err), errs.Bytes())
	}
	return out.Bytes(), nil
}

// LastLine is the last line of what a process wrote.
func LastLine(out []byte) []byte {
	out = bytes.TrimSpace(out)
	return out[bytes.LastIndexByte(out, '\n')+1:]
}

func withLastLine(err error, errs []byte) error {
	if last := LastLine(errs); len(last) > 0 {
		return fmt.Errorf("%w: %s", err, last)
	}
	return err
}

// Peer is a program that waits for work: a request is a line of words on its
// standard input, its answer a line of JSON on its standard output. It is for
// one goroutine.
type Peer struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Scanner
	errs bytes.Buffer
}

// Start starts a peer and reads into hello the line of JSON that it begins with.
// cmd should be made with a context, which ends it.
func Start(cmd *exec.Cmd, hello any) (*Peer, error) { return StartBy((*exec.Cmd).Start, cmd, hello) }

// StartBy does so where a process has to be started in a special way.
func StartBy(start func(*exec.Cmd) error, cmd *exec.Cmd, hello any) (*Peer, error) {
	p := &Peer{cmd: cmd}
	cmd.Stderr = &p.errs
	var err error
	if p.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := start(cmd); err != nil {
		return nil, err
	}
	p.out = bufio.NewScanner(out)
	p.out.Buffer(nil, 1<<20) // an answer may list the times of thousands of calls
	if err := p.read(hello); err != nil {
		p.Close()
		return nil, fmt.Errorf("%s: %w", cmd.Path, err)
	}
	return p, nil
}

// Ask sends the words of a request and reads the answer.
func (p *Peer) Ask(answer any, words ...any) error {
	if _, err := fmt.Fprintln(p.in, words...); err != nil {
		return err
	}
	return p.read(answer)
}

func (p *Peer) read(v any) error {
	if p.out.Scan() {
		if err := json.Unmarshal(p.out.Bytes(), v); err != nil {
			return fmt.Errorf("answer %q: %w", p.out.Text(), err)
		}
		return nil
	}
	if err := p.out.Err(); err != nil {
		return err
	}
	// It ended; why stands in the last line that it wrote.
	err := cmp.Or(p.cmd.Wait(), io.ErrUnexpectedEOF)
	return withLastLine(fmt.Errorf("ended early (%w)", err), p.errs.Bytes())
}

// closeGrace is how long a process may take to end when nothing more is asked.
const closeGrace = 2 * time.Second

// Close ends the process; how it ends no longer matters. There is nothing more to
// read for it first, so that one which started others can end them.
func (p *Peer) Close() {
	_ = p.in.Close()
	late := time.AfterFunc(closeGrace, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	_ = p.cmd.Wait()
}

// Answer is the other side of a Peer: it says hello, and answers each line of words that comes in, until
// there are no more. An error of do ends it.
func Answer(in io.Reader, out io.Writer, hello any, do func(words []string) (any, error)) error {
	say := json.NewEncoder(out)
	if err := say.Encode(hello); err != nil {
		return err
	}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		a, err := do(strings.Fields(lines.Text()))
		if err != nil {
			return err
		}
		if err := say.Encode(a); err != nil {
			return err
		}
	}
	return lines.Err()
}

// Worker is the part of a bench that runs in processes of its own: of the running
// program, whose main calls Main before all else. J is what such a process is
// told, S what it measured.
type Worker[J, S any] struct {
	// Variable is the environment variable that holds the task: unlike arguments,
	// it does not show in the list of processes.
	Variable string
	Do       func(context.Context, J) (S, error)
}

// Main does a process's part where Command started this one, and says that it
// did; main then ends with err.
func (w Worker[J, S]) Main() (ran bool, err error) {
	text, ok := os.LookupEnv(w.Variable)
	if !ok {
		return false, nil
	}
	var task J
	if err := json.Unmarshal([]byte(text), &task); err != nil {
		return true, fmt.Errorf("%s: %w", w.Variable, err)
	}
	s, err := w.Do(context.Background(), task)
	if err != nil {
		return true, err
	}
	return true, json.NewEncoder(os.Stdout).Encode(s)
}

// Command is such a process, which prints an S as JSON.
func (w Worker[J, S]) Command(ctx context.Context, task J) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(task)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), w.Variable+"="+string(text))
	return cmd, nil
}
