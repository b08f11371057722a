package agent

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"
)

func TestLastWords(t *testing.T) {
	for name, c := range map[string]struct {
		text         string
		code, signal int
		want         string
		more         bool
	}{
		"an error":          {"reading\nvgid: no such file\n", 1, 0, "vgid: no such file", false},
		"a signal in Go":    {"step 3\nSIGBUS: bus error\nPC=0x46f2 m=0 sigcode=2\n\ngoroutine 1 gp=0x1:\nmain.go:3\n\ngs     0x0\n", 2, 0, "SIGBUS: bus error", true},
		"a fault in Go":     {"unexpected fault address 0x7f00\nfatal error: fault\n[signal SIGBUS: bus error code=0x2 addr=0x7f00 pc=0x4a]\n\ngoroutine 1 [running]:\n", 2, 0, "fatal error: fault [signal SIGBUS: bus error code=0x2 addr=0x7f00 pc=0x4a]", true},
		"a panic":           {"panic: runtime error: index out of range [3] with length 3\n\ngoroutine 7 [running]:\nexit status 2\n", 2, 0, "panic: runtime error: index out of range [3] with length 3", true},
		"a nil pointer":     {"panic: runtime error: invalid memory address\n[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x1]\n\ngoroutine 1:\n", 2, 0, "panic: runtime error: invalid memory address [signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x1]", true},
		"the first counts":  {"fatal error: all goroutines are asleep - deadlock!\npanic: again\n", 2, 0, "fatal error: all goroutines are asleep - deadlock!", true},
		"a survived panic":  {"panic: of a part that was started again\nwork\nno space left\n", 1, 0, "no space left", false},
		"an exception":      {"Traceback (most recent call last):\n  File \"a.py\", line 1, in <module>\n    f()\n    ^^^\nValueError: no such key\n", 1, 0, "ValueError: no such key", true},
		"chained":           {"Traceback (most recent call last):\n  File \"a.py\"\nKeyError: 1\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"b.py\"\nRuntimeError: second\n", 1, 0, "RuntimeError: second", true},
		"a rank's":          {"[rank0]: Traceback (most recent call last):\n[rank0]:   File \"a.py\", line 1\n[rank0]: RuntimeError: CUDA out of memory\n[W1 x.cpp:1] WARNING: the group was not destroyed\n", 1, 0, "RuntimeError: CUDA out of memory", true},
		"a logged one":      {"Traceback (most recent call last):\n  File \"a.py\"\nOSError: retried\n" + strings.Repeat("step\n", 20) + "out of patience\n", 1, 0, "out of patience", false},
		"C++":               {"terminate called after throwing an instance of 'std::runtime_error'\n  what():  bad file\n", 0, 6, "terminate called after throwing an instance of 'std::runtime_error' what():  bad file", true},
		"Rust":              {"thread 'main' panicked at src/main.rs:2:5:\nno model\nnote: run with `RUST_BACKTRACE=1`\n", 101, 0, "thread 'main' panicked at src/main.rs:2:5: no model", true},
		"killed in silence": {"step 9\n", 0, 9, "step 9", false},
		"nothing":           {"\n \n", 1, 0, "", false},
	} {
		var w lastWords
		for line := range strings.Lines(c.text) {
			w.add(strings.TrimRight(line, "\n"))
		}
		if got, more := w.of(c.code, c.signal); got != c.want || more != c.more {
			t.Errorf("%s: %q, %t; want %q, %t", name, got, more, c.want, c.more)
		}
	}
}

// What this Go toolchain really writes.
func TestLastWordsOfACrash(t *testing.T) {
	for how, want := range map[string]string{
		"nil": "panic: runtime error: invalid memory address or nil pointer dereference [signal SIGSEGV",
		"map": "panic: assignment to entry in nil map", "quit": "SIGQUIT: quit", "abort": "SIGABRT: abort", "bus": "SIGBUS: bus error",
	} {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), envCrash+"="+how, "GOTRACEBACK=all")
		var said strings.Builder
		c.Stderr = &stream{out: &said}
		c.Run()
		s := c.Stderr.(*stream)
		s.flush()
		if got, more := s.words.of(c.ProcessState.ExitCode(), 0); !strings.HasPrefix(got, want) || !more {
			t.Errorf("%s: %q; it wrote\n%s", how, got, said.String())
		}
	}
}

// envCrash makes the test program crash; see crash.
const envCrash = "LAUNCH_TEST_CRASH"

func crash(how string) {
	switch how {
	case "nil":
		var p *stream
		p.part = nil
	case "map":
		var m map[int]int
		m[len(how)] = 1 //nolint:staticcheck // the crash that is tried
	default:
		syscall.Kill(os.Getpid(), map[string]syscall.Signal{"quit": syscall.SIGQUIT, "abort": syscall.SIGABRT, "bus": syscall.SIGBUS}[how])
		select {}
	}
}

func FuzzLastWords(f *testing.F) {
	f.Add("Traceback (most recent call last):\n  x\nE: y", 1, 0)
	f.Add("panic: x\n[signal SIGBUS: y]\n", 2, 0)
	f.Fuzz(func(t *testing.T, text string, code, signal int) {
		s := &stream{out: new(strings.Builder)}
		s.Write([]byte(text))
		s.flush()
		line, _ := s.words.of(code, signal)
		if strings.ContainsAny(line, "\n\r") || utf8.RuneCountInString(clip(line)) > mostKept+1 {
			t.Errorf("%q is not one line", line)
		}
	})
}
