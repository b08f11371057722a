package agent

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"vgid/launch/option"
)

// Procs reads how many workers this node has: a number, "gpu" for one worker per GPU of this
// node, or "auto" for the same with 1 where there is none.
func Procs(s string) (int, error) {
	switch s {
	case "gpu", "auto":
		n := gpus()
		if n == 0 && s == "gpu" {
			return 0, option.Errorf("%v gpu: this node has no NVIDIA GPU, or CUDA_VISIBLE_DEVICES hides them; give a number", option.Procs)
		}
		return max(n, 1), nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return 0, option.Errorf("%v %q: must be a number from 1, gpu, or auto", option.Procs, s)
	}
	return n, nil
}

// gpus counts the devices a worker may use without loading a driver.
func gpus() int {
	if v, ok := os.LookupEnv("CUDA_VISIBLE_DEVICES"); ok {
		n := 0
		for d := range strings.SplitSeq(v, ",") {
			if d = strings.TrimSpace(d); d == "" || d == "-1" {
				break // CUDA ignores what follows an invalid entry
			}
			n++
		}
		return n
	}
	// The driver makes one such file a device; nvidiactl and others have no number.
	devs, err := filepath.Glob("/dev/nvidia[0-9]*")
	if err != nil {
		return 0
	}
	return len(devs)
}
