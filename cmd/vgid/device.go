package main

import (
	"fmt"

	"vgid/launch"
	"vgid/model/backend"
	"vgid/model/cpu"
	"vgid/model/cuda"
	"vgid/vgid/config"
)

// openDevice takes hold of what the configuration says this worker computes on.
// Workers of a machine that outnumber its GPUs share them in turn.
func openDevice(cfg config.Config, w launch.Worker) (backend.Backend, error) {
	if cfg.Device != "cuda" {
		return cpu.New(cfg.Threads), nil
	}
	p, err := cuda.ParsePrecision(cfg.Precision)
	if err != nil {
		return nil, err
	}
	n, err := cuda.Devices()
	if err != nil {
		return nil, fmt.Errorf("--device cuda: %w", err)
	}
	be, err := cuda.Open(w.LocalRank%max(1, n), p)
	if err != nil {
		return nil, fmt.Errorf("--device cuda: %w", err)
	}
	return be, nil
}
