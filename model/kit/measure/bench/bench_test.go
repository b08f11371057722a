package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

var echo = Worker[[]int, int]{Variable: "VGID_BENCH_TEST", Do: func(_ context.Context, task []int) (int, error) {
	if len(task) == 0 {
		return 0, errors.New("nothing to add")
	}
	sum := 0
	for _, n := range task {
		sum += n
	}
	return sum, nil
}}

func TestMain(m *testing.M) {
	if ran, err := echo.Main(); ran {
		if err != nil {
			fmt.Fprintln(os.Stderr, "first line\n"+err.Error())
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestInTurn(t *testing.T) {
	var order strings.Builder
	program := func(name string, factor float64) *Program[float64] {
		return &Program[float64]{Name: name, Measure: func(_ context.Context, round int) (float64, error) {
			order.WriteString(name)
			return factor * float64(round+1), nil
		}}
	}
	a, b := program("a", 1), program("b", 3)
	if err := InTurn(t.Context(), 3, a, b); err != nil {
		t.Fatal(err)
	}
	if order.String() != "abbaab" {
		t.Errorf("the order is %s", order.String())
	}
	self := func(x float64) float64 { return x }
	if a.Median(self) != 2 || b.Median(self) != 6 || b.Ratio(a, self) != 3 || a.Ratio(b, self) != 1.0/3 {
		t.Errorf("medians %g and %g, ratio %g", a.Median(self), b.Median(self), b.Ratio(a, self))
	}
	if none := (&Program[float64]{}); none.Median(self) != 0 || a.Ratio(none, self) != 0 {
		t.Error("a program that was not measured has figures")
	}
}

func TestInTurnFails(t *testing.T) {
	broken := errors.New("broken")
	for _, name := range []string{"", "other"} {
		p := &Program[int]{Name: name, Measure: func(context.Context, int) (int, error) { return 0, broken }}
		err := InTurn(t.Context(), 1, p)
		if want := strings.TrimPrefix(name+": broken", ": "); !errors.Is(err, broken) || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	p := &Program[int]{Measure: func(context.Context, int) (int, error) { calls++; cancel(); return 0, nil }}
	if err := InTurn(ctx, 9, p); !errors.Is(err, context.Canceled) || calls != 1 {
		t.Errorf("%v after %d rounds", err, calls)
	}
}

func TestWorker(t *testing.T) {
	run := func(task []int) ([]byte, error) {
		cmd, err := echo.Command(t.Context(), task)
		if err != nil {
			t.Fatal(err)
		}
		return Output(t.Context(), cmd)
	}
	if out, err := run([]int{1, 2, 39}); err != nil || string(out) != "42\n" {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := run(nil); err == nil || err.Error() != "exit status 1: nothing to add" {
		t.Errorf("%v", err)
	}
	t.Setenv(echo.Variable, "{")
	if ran, err := echo.Main(); !ran || err == nil || !strings.HasPrefix(err.Error(), echo.Variable+": ") {
		t.Errorf("%v, %v", ran, err)
	}
}

func TestOutputOfCancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	cmd, err := echo.Command(ctx, []int{1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Output(ctx, cmd); !errors.Is(err, why) {
		t.Errorf("%v", err)
	}
}

// shell is a peer that a POSIX shell runs.
func shell(t *testing.T, script string) *exec.Cmd {
	t.Helper()
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("SKIPPED: there is no sh to run a peer with")
	}
	return exec.CommandContext(t.Context(), sh, "-c", script)
}

func TestPeer(t *testing.T) {
	var hello struct{ Version string }
	p, err := Start(shell(t, `echo '{"version": "7"}'
while read -r what n; do
	case $what in
	double) echo "{\"n\": $((2 * n))}";;
	prose) echo hello;;
	*) echo "no $what here" >&2; exit 3;;
	esac
done`), &hello)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var a struct{ N int }
	if err := p.Ask(&a, "double", 21); err != nil || a.N != 42 || hello.Version != "7" {
		t.Errorf("%+v, %+v, %v", hello, a, err)
	}
	if err := p.Ask(&a, "prose"); err == nil || !strings.HasPrefix(err.Error(), `answer "hello": `) {
		t.Errorf("%v", err)
	}
	if err := p.Ask(&a, "triple", 3); err == nil || err.Error() != "ended early (exit status 3): no triple here" {
		t.Errorf("%v", err)
	}
}

func TestPeerThatDoesNotBegin(t *testing.T) {
	cmd := shell(t, "exit 0")
	if _, err := Start(cmd, &struct{}{}); err == nil || err.Error() != cmd.Path+": ended early (unexpected EOF)" {
		t.Errorf("%v", err)
	}
	if _, err := Start(exec.CommandContext(t.Context(), t.TempDir()+"/none"), &struct{}{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestFolder(t *testing.T) {
	dir, remove, err := Folder(map[string][]byte{"a.py": []byte("pass\n"), "b": nil})
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(dir + "/a.py"); err != nil || string(b) != "pass\n" {
		t.Errorf("%q, %v", b, err)
	}
	remove()
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the folder stays: %v", err)
	}
	if _, _, err := Folder(map[string][]byte{"no/folder": nil}); err == nil {
		t.Error("a file in a folder that is missing was written")
	}
}

func TestTable(t *testing.T) {
	for _, c := range []struct {
		right bool
		want  string
	}{
		{false, "title 3\na     b\nlong  1.5\nshort\n"},
		{true, "title 3\n      a    b\n   long  1.5\n  short\n"},
	} {
		table := Table{Right: c.right}
		table.Titlef("title %d\n", 3)
		table.Rowf("a\tb")
		table.Rowf("long\t%.1f", 1.5)
		table.Rowf("short")
		var out strings.Builder
		if err := table.Write(&out); err != nil {
			t.Fatal(err)
		}
		if out.String() != c.want {
			t.Errorf("%q, want %q", out.String(), c.want)
		}
	}
}
