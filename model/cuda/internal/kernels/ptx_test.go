package kernels

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestPTXIsCurrent recompiles the kernels and compares with what is committed.
func TestPTXIsCurrent(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: every kernel is compiled again, which takes a while")
	}
	clang := os.Getenv("CLANG")
	if clang == "" {
		clang = "clang++-19"
	}
	if _, err := exec.LookPath(clang); err != nil {
		t.Skipf("SKIPPED: NO %s, THE COMMITTED PTX IS NOT COMPARED WITH ITS SOURCE (apt-get install clang-19)", clang)
	}
	dir := t.TempDir()
	if out, err := exec.Command("./build.sh", dir).CombinedOutput(); err != nil {
		t.Fatalf("build.sh: %v\n%s", err, out)
	}
	built, err := filepath.Glob(filepath.Join(dir, "*.ptx"))
	if err != nil {
		t.Fatal(err)
	}
	modules, err := Modules()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range built {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(f), ".ptx")
		if modules[name] != string(text) {
			t.Errorf("ptx/%s.ptx is not what %s.cu compiles to: run model/cuda/internal/kernels/build.sh", name, name)
		}
		delete(modules, name)
	}
	for name := range modules {
		t.Errorf("ptx/%s.ptx has no source", name)
	}
}

// targets are the devices that ptxas must accept every module for.
var targets = []string{"sm_80", "sm_90", "sm_100", "sm_120"}

// TestPTXAssembles checks the committed PTX, inline assembly included, with
// NVIDIA's assembler, and that registers suffice.
func TestPTXAssembles(t *testing.T) {
	ptxas := os.Getenv("VGID_PTXAS")
	if ptxas == "" {
		ptxas = "ptxas"
	}
	if _, err := exec.LookPath(ptxas); err != nil {
		t.Skip("SKIPPED: NO ptxas, THE PTX IS NOT ASSEMBLED. It is in the PyPI wheel nvidia-cuda-nvcc 13.0; set $VGID_PTXAS to its path")
	}
	modules, err := Modules()
	if err != nil {
		t.Fatal(err)
	}
	for name := range modules {
		for _, target := range targets {
			t.Run(name+"/"+target, func(t *testing.T) {
				cmd := exec.Command(ptxas, "-v", "-arch="+target, "-o", os.DevNull, filepath.Join("ptx", name+".ptx"))
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				for _, m := range spillPattern.FindAllStringSubmatch(string(out), -1) {
					if n, _ := strconv.Atoi(m[2]); n > fewSpills {
						t.Errorf("%s spills %d bytes of registers", m[1], n)
					}
				}
			})
		}
	}
}

// ptxas spills a few values to fit one more block on a multiprocessor; more
// than these bytes means that a kernel does not fit the registers.
const fewSpills = 32

var spillPattern = regexp.MustCompile(`Function properties for (\w+)\n.* (\d+) bytes spill stores`)

// entryPattern matches an entry point with its parameters and block size.
var entryPattern = regexp.MustCompile(`(?s)\.visible \.entry (\w+)\(\s*(.*?)\)\s*\.maxntid (\d+)`)

// ptxEntries lists the entry points of a module as the table writes them.
func ptxEntries(text string) map[string]string {
	letters := map[string]string{".u64": "l", ".u32": "i", ".f32": "f", ".align 4 .b8": "v"}
	out := map[string]string{}
	for _, m := range entryPattern.FindAllStringSubmatch(text, -1) {
		signature := ""
		for _, p := range strings.Split(m[2], ",") {
			p = strings.TrimPrefix(strings.TrimSpace(p), ".param ")
			letter := "?"
			for kind, l := range letters {
				if strings.HasPrefix(p, kind+" ") {
					letter = l
				}
			}
			signature += letter
		}
		out[m[1]] = signature + " " + m[3]
	}
	return out
}

// TestTable checks that the table, the PTX and the host build know the same
// kernels with the same parameters and the same largest block.
func TestTable(t *testing.T) {
	modules, err := Modules()
	if err != nil {
		t.Fatal(err)
	}
	entries := map[string]string{}
	for name, text := range modules {
		for entry, s := range ptxEntries(text) {
			entries[entry] = name + " " + s
		}
	}
	var names []string
	for _, k := range All() {
		names = append(names, k.Name)
		if k.Doc == "" {
			t.Errorf("%s has no doc", k.Name)
		}
		// PTX does not tell a pointer from an integer.
		want := fmt.Sprintf("%s %s %d", k.Module, strings.ReplaceAll(k.Signature(), "p", "l"), k.Threads)
		if got := entries[k.Name]; got != want {
			t.Errorf("kernel %s is %q in the table but %q in the PTX", k.Name, want, got)
		}
		delete(entries, k.Name)
	}
	for name := range entries {
		t.Errorf("kernel %s is in the PTX but not in the table", name)
	}
	if slices.Sort(names); len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("a kernel is twice in the table: %v", names)
	}

	h := start(t, program(t, compiled(t)))
	for _, k := range All() {
		if got, want := h.table[k.Name], fmt.Sprintf("%s %d", k.Signature(), k.Threads); got != want {
			t.Errorf("kernel %s is %q in the table but %q in the host build", k.Name, want, got)
		}
		delete(h.table, k.Name)
	}
	for name := range h.table {
		t.Errorf("kernel %s is in the host build but not in the table", name)
	}
}
