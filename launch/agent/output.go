package agent

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"vgid/launch/option"
)

// maxLine bounds a line that is held back until its end is known.
const maxLine = 64 << 10

// mostKept is how many characters of a worker's last line are kept: enough for
// the remedy at the end of what a device without memory says.
const mostKept = 600

// stream takes one output of a worker: to the launcher's output, line by line
// behind a prefix or untouched, to the log, and its last line to memory.
type stream struct {
	out    io.Writer
	prefix string // empty passes bytes on as they come
	log    io.Writer

	mu    sync.Mutex
	part  []byte // of a line
	words lastWords
	err   error
}

// Write never fails for the worker's sake: a full disk or a closed terminal is
// remembered and told at the end.
func (s *stream) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(b)
	if s.log != nil {
		s.note(s.log.Write(b))
	}
	if s.prefix == "" {
		s.note(s.out.Write(b))
	}
	// Whole lines go on as one write each, so a part of one is kept until its end.
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			i = len(b) - 1
		}
		i = min(i, maxLine-len(s.part)-1)
		s.part = append(s.part, b[:i+1]...)
		b = b[i+1:]
		if s.part[len(s.part)-1] == '\n' || len(s.part) >= maxLine {
			s.line()
		}
	}
	return n, nil
}

// flush ends the last line.
func (s *stream) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.part) > 0 {
		s.line()
	}
}

func (s *stream) line() {
	text := bytes.TrimRight(s.part, "\r\n")
	if s.prefix != "" {
		// One write a line, so that lines of several processes do not mix.
		s.note(s.out.Write(append(append([]byte(s.prefix), text...), '\n')))
	}
	s.remember(text)
	s.part = s.part[:0]
}

// remember keeps what a line says, without what only a terminal understands.
func (s *stream) remember(text []byte) {
	if i := bytes.LastIndexByte(text, '\r'); i >= 0 {
		text = text[i+1:]
	}
	s.words.add(strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, string(text)))
}

// clip shortens a line to what is kept of it.
func clip(line string) string {
	if r := []rune(line); len(r) > mostKept {
		return string(r[:mostKept]) + "…"
	}
	return line
}

// note keeps the first error of writing.
func (s *stream) note(_ int, err error) {
	if s.err == nil {
		s.err = err
	}
}

// output is where both streams of a rank go.
type output struct {
	stdout, stderr *stream
	file           *os.File
}

// newOutput opens the log of a rank, if there is to be one. Both streams go to
// the one file, as they would to a terminal.
func newOutput(o *Options, out, errw io.Writer, rank int, raw bool) (*output, error) {
	w := &output{}
	var log io.Writer
	if o.LogDir != "" {
		f, err := os.Create(filepath.Join(o.LogDir, fmt.Sprintf("rank%d.log", rank)))
		if err != nil {
			return nil, option.Errorf("%v: %w", option.LogDir, err)
		}
		w.file, log = f, f
	}
	prefix := "" // a rank alone needs no name
	if !raw {
		prefix = fmt.Sprintf("[%d] ", rank)
		if o.Colour {
			prefix = fmt.Sprintf("\x1b[%dm[%d]\x1b[0m ", 31+(rank+1)%6, rank)
		}
	}
	w.stdout = &stream{out: out, prefix: prefix, log: log}
	w.stderr = &stream{out: errw, prefix: prefix, log: log}
	return w, nil
}

// path of the log, empty without.
func (w *output) path() string {
	if w.file == nil {
		return ""
	}
	return w.file.Name()
}

// close ends both streams and reports what could not be written: a run whose
// output is lost must not look well.
func (w *output) close() error {
	w.stdout.flush()
	w.stderr.flush()
	err := w.stdout.err
	if err == nil {
		err = w.stderr.err
	}
	if w.file != nil {
		if cerr := w.file.Close(); err == nil {
			err = cerr
		}
	}
	return err
}
