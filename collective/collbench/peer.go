package collbench

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"vgid/model/kit/measure/bench"
)

// Peers are the programs that ours can be measured beside: Gloo as PyTorch brings it, and Open MPI by TCP and
// by shared memory.
var Peers = []string{"gloo", "openmpi", "openmpi-shm"}

//go:embed testdata/gloo_bench.py
var glooScript []byte

//go:embed testdata/openmpi_bench.c
var openMPISource []byte

// PeerError says that a peer cannot be started, and what it needs.
type PeerError struct {
	Peer  string
	Err   error
	Needs string // what to install, or to give
}

func (e *PeerError) Error() string { return fmt.Sprintf("peer %s: %v; %s", e.Peer, e.Err, e.Needs) }

func (e *PeerError) Unwrap() error { return e.Err }

// peer is a program that is ready to be started.
type peer struct {
	name   string
	start  func(ctx context.Context, n int) (*world, error)
	remove func() // of what it was made of
}

// openPeer gets a peer ready: what has to be compiled is.
func openPeer(ctx context.Context, name, python string) (p peer, err error) {
	if name == "gloo" {
		return openGloo(python)
	}
	return openOpenMPI(ctx, name)
}

// loopback is the name of the interface that ours goes by as well.
func loopback() string {
	if runtime.GOOS == "linux" {
		return "lo"
	}
	return "lo0"
}

// openGloo writes the script of torch.distributed's side.
func openGloo(python string) (peer, error) {
	const file, needs = "gloo_bench.py", "it takes a Python that has PyTorch (pip install torch)"
	if python == "" {
		return peer{}, &PeerError{"gloo", errors.New("no Python is named"), needs}
	}
	dir, remove, err := bench.Folder(map[string][]byte{file: glooScript})
	if err != nil {
		return peer{}, err
	}
	nth := 0
	start := func(ctx context.Context, n int) (*world, error) {
		nth++
		meeting := filepath.Join(dir, "meeting"+strconv.Itoa(nth))
		w, err := startWorld(ctx, "gloo", n, here, func(ctx context.Context) ([]*exec.Cmd, error) {
			cmds := make([]*exec.Cmd, n)
			for r := range cmds {
				cmds[r] = exec.CommandContext(ctx, python, filepath.Join(dir, file), strconv.Itoa(r), strconv.Itoa(n), meeting)
				// Both are the user's to set otherwise.
				cmds[r].Env = append([]string{"GLOO_SOCKET_IFNAME=" + loopback(), "OMP_NUM_THREADS=1"}, os.Environ()...)
			}
			return cmds, nil
		})
		if err != nil && ctx.Err() == nil {
			err = &PeerError{"gloo", err, needs}
		}
		return w, err
	}
	return peer{"gloo", start, remove}, nil
}

// openOpenMPI compiles Open MPI's side by the machine's mpicc.
func openOpenMPI(ctx context.Context, name string) (_ peer, err error) {
	const needs = "it takes Open MPI with its compiler (Debian: openmpi-bin and libopenmpi-dev)"
	wrap := func(err error) (peer, error) { return peer{}, &PeerError{name, err, needs} }
	mpirun, err := exec.LookPath("mpirun")
	if err != nil {
		return wrap(err)
	}
	says, err := exec.CommandContext(ctx, mpirun, "--version").Output()
	if err != nil {
		return wrap(fmt.Errorf("mpirun --version: %w", err))
	}
	if !strings.Contains(string(says), "Open MPI") {
		first, _, _ := strings.Cut(string(says), "\n")
		return wrap(fmt.Errorf("%s is another MPI's: %s", mpirun, first))
	}
	dir, remove, err := bench.Folder(map[string][]byte{"openmpi_bench.c": openMPISource})
	if err != nil {
		return peer{}, err
	}
	program := filepath.Join(dir, "openmpi_bench")
	build := exec.CommandContext(ctx, "mpicc", "-O2", "-o", program, filepath.Join(dir, "openmpi_bench.c"))
	if out, err := build.CombinedOutput(); err != nil {
		remove()
		if first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n"); first != "" {
			err = fmt.Errorf("%w: %s", err, first)
		}
		return wrap(fmt.Errorf("mpicc: %w", err))
	}
	start := func(ctx context.Context, n int) (*world, error) {
		w, err := startWorld(ctx, name, n, here, func(ctx context.Context) ([]*exec.Cmd, error) {
			// Where the ranks meet who pass on what they are asked.
			pipes, err := os.MkdirTemp(dir, "ranks")
			if err != nil {
				return nil, err
			}
			cmd := exec.CommandContext(ctx, mpirun, append(openMPIFlags(name, string(says)), "-n", strconv.Itoa(n), program, pipes)...)
			// Killed outright it would leave its ranks behind.
			cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
			return []*exec.Cmd{cmd}, nil
		})
		if err != nil && ctx.Err() == nil {
			err = &PeerError{name, err, needs}
		}
		return w, err
	}
	return peer{name, start, remove}, nil
}

// openMPIFlags has mpirun start any number of ranks as any user, which go by one way alone.
func openMPIFlags(name, version string) []string {
	flags := []string{"--allow-run-as-root", "--oversubscribe", "--mca", "pml", "ob1", "--mca", "btl"}
	switch {
	case name == "openmpi":
		// Without the last two it leaves out loopback, by which ours goes.
		return append(flags, "self,tcp", "--mca", "btl_tcp_if_include", loopback())
	case strings.Contains(version, "Open MPI) 4.") || strings.Contains(version, "Open MPI) 3."):
		return append(flags, "self,vader")
	}
	return append(flags, "self,sm") // its name since 5.0
}
