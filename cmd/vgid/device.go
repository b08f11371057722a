package main

import (
	"fmt"
	"os"

	"vgid/launch"
	"vgid/model/backend"
	"vgid/model/cpu"
	"vgid/model/cuda"
	"vgid/vgid/config"
)

// openDevice takes hold of what the configuration says this worker computes on,
// and names the place whose memory that is. Workers of a machine that outnumber
// its GPUs share them in turn.
func openDevice(cfg config.Config, w launch.Worker) (be backend.Backend, place string, err error) {
	// Containers of one machine have names and limits of their own.
	host, err := os.Hostname()
	if err != nil {
		host = fmt.Sprintf("node %d", w.NodeRank)
	}
	if cfg.Device != "cuda" {
		return cpu.New(cfg.Threads), host, nil
	}
	p, err := cuda.ParsePrecision(cfg.Precision)
	if err != nil {
		return nil, "", err
	}
	n, err := cuda.Devices()
	if err != nil {
		return nil, "", fmt.Errorf("--device cuda: %w", err)
	}
	gpu := w.LocalRank % max(1, n)
	if be, err = cuda.Open(gpu, p); err != nil {
		return nil, "", fmt.Errorf("--device cuda: %w", err)
	}
	return be, fmt.Sprintf("%s, GPU %d", host, gpu), nil
}
