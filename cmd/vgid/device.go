package main

import (
	"fmt"
	"os"
	"strings"

	"vgid/cmd/vgid/internal/cmdline"
	"vgid/launch"
	"vgid/model/backend"
	"vgid/model/cpu"
	"vgid/model/cuda"
	"vgid/vgid/config"
)

// openDevice takes hold of what the configuration says this worker computes on,
// and names the place whose memory that is.
// place is compared between workers: those that name the same one share its memory, and the estimate before
// a stage adds up what they take.
// be is the caller's to close.
func openDevice(cfg config.Config, w launch.Worker) (be backend.Backend, place string, err error) {
	if cfg.Device != "cuda" {
		return cpu.New(cfg.Threads), machine(w), nil
	}
	p, err := cuda.ParsePrecision(cfg.Precision)
	if err != nil {
		return nil, "", err
	}
	n, err := cuda.Devices()
	if err != nil {
		return nil, "", fmt.Errorf("--device cuda: %w", err)
	}
	gpu := gpuOf(w, n)
	if be, err = cuda.Open(gpu, cuda.Options{Precision: p, Warn: cmdline.Warn}); err != nil {
		return nil, "", fmt.Errorf("--device cuda: %w", err)
	}
	return be, onGPU(machine(w), os.Getenv("CUDA_VISIBLE_DEVICES"), gpu), nil
}

// gpuOf chooses among the n GPUs that this worker sees. Workers of a machine that
// outnumber them share them in turn.
// CUDA_VISIBLE_DEVICES may show each worker one GPU alone, as launchers set it; then n is 1 and so is the
// choice.
func gpuOf(w launch.Worker, n int) int { return w.MachineRank() % max(1, n) }

// onGPU names the memory of a GPU. Its number is one among those visible, which
// may be others for each node of a machine.
// visible is CUDA_VISIBLE_DEVICES, by which the number is read.
func onGPU(machine, visible string, gpu int) string {
	return fmt.Sprintf("%s, GPU %d of %q", machine, gpu, visible)
}

// machine names what workers share memory with: their machine, or in it their
// container, which may have a limit of its own. The host's name alone would not
// do: machines are called localhost, and containers like their machine.
// It is compared, never parsed: any text will do that differs where memory does.
func machine(w launch.Worker) string {
	host, err := os.Hostname()
	if err != nil {
		host = fmt.Sprintf("node %d", w.NodeRank)
	}
	// The boot tells machines of one name apart, the mount namespace containers of one machine.
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // Linux only, as the next
	files, _ := os.Readlink("/proc/self/ns/mnt")
	return strings.Join([]string{host, strings.TrimSpace(string(boot)), files}, " ")
}
