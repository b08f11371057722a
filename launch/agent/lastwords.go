package agent

import (
	"regexp"
	"strings"
)

// lastWords finds, among the lines a process writes to standard error, the one
// that says why it ended. That is the last line for a program that ends in
// order. A program that crashes writes its reason first and then a dump, and
// Python writes it below a traceback, behind which other parts of the program
// may still say something.
type lastWords struct {
	last   string
	crash  string // first line of a crash, with what belongs to it
	open   bool   // the next line may belong to crash
	raised string // last line of the latest traceback
	stack  bool   // inside of a traceback
	since  int    // lines after raised
}

var (
	// Go: panic, a fatal error of the runtime, a signal. C and C++: what the
	// library or a sanitizer says before it aborts. Rust, Python's interpreter.
	crashBegins = regexp.MustCompile(`^(panic: |fatal error: |fatal: |SIG[A-Z]+: |runtime/cgo: |terminate called |\*\*\* |==\d+==ERROR: |thread '.*' panicked at |Fatal Python error: )`)
	// Go names the signal below a fatal error, C++ and Rust the reason.
	crashGoesOn = regexp.MustCompile(`^(\[signal (SIG[A-Z]+.*)\]|what\(\):.*)$`)
	// PyTorch puts the rank before every line of a traceback.
	rankMark = regexp.MustCompile(`^\[rank\d+\]: ?`)
)

const traceback = "Traceback (most recent call last):"

// chatter is how many lines may follow the traceback that ended a program:
// warnings about what it left behind.
const chatter = 10

// add takes the next line: without its end, with its indentation.
func (w *lastWords) add(line string) {
	text := strings.TrimSpace(line)
	if text == "" {
		return
	}
	w.last = text
	if w.crash == "" {
		if crashBegins.MatchString(text) {
			w.crash, w.open = text, true
		}
	} else if w.open {
		// Rust's reason is the line below, whatever it says.
		if crashGoesOn.MatchString(text) || strings.HasPrefix(w.crash, "thread '") {
			w.crash += " " + text
		}
		w.open = false
	}
	w.python(line)
}

// python follows tracebacks: an indented block below a headline, and behind it
// one line at the margin that names the exception.
func (w *lastWords) python(line string) {
	line = rankMark.ReplaceAllString(line, "")
	switch {
	case strings.TrimSpace(line) == traceback:
		w.stack, w.raised = true, ""
	case w.stack && !strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "\t"):
		w.stack, w.raised, w.since = false, strings.TrimSpace(line), 0
	case w.raised != "":
		w.since++
	}
}

// of gives the line for a process that ended so, and whether it is the head or
// the end of a longer report.
func (w *lastWords) of(code, signal int) (line string, more bool) {
	killed := signal != 0 || code > 128 // by a signal, below a shell
	switch {
	// A line that only looks like a crash is followed by another end: Go's
	// crashes exit with 2, Rust's with 101.
	case w.crash != "" && (killed || code == 2 || code == 101):
		return w.crash, true
	case w.raised != "" && w.since <= chatter && (killed || code == 1):
		return w.raised, true
	}
	return w.last, false
}
