package loadbench

import (
	"context"
	"encoding/binary"
	"time"

	"vgid/model"
	"vgid/model/cpu"
	"vgid/model/hf"
	"vgid/model/kit/measure"
	"vgid/model/kit/measure/bench"
)

// worker loads in a process of its own.
var worker = bench.Worker[job, sample]{Variable: "VGID_LOADBENCH", Do: func(ctx context.Context, j job) (sample, error) { return j.do(ctx) }}

// job is what a process of our own is told, in its environment.
type job struct {
	Dir  string `json:"dir"`
	Read bool   `json:"read"`
}

// sample is what one process measured; memory is in bytes.
type sample struct {
	Program string  `json:"program,omitempty"`
	Seconds float64 `json:"seconds"`
	Before  int64   `json:"before"` // largest resident set before loading
	Peak    int64   `json:"peak"`   // and after
	Own     int64   `json:"own"`    // of what is resident at the end, what no file backs
	Tensors int     `json:"tensors"`
	Bytes   int64   `json:"bytes"`
	Sum     uint64  `json:"sum"` // of all bytes as 64-bit words; 0 when they were not read

	process float64 // seconds from start to end of the process
}

// WorkerMain does a process's part when Run started this one, and says that it
// did; main then ends with err.
func WorkerMain() (ran bool, err error) { return worker.Main() }

// do loads a model that could run or, to read every byte, opens its weights.
// One thread, and so in the reference's script.
// Seconds end when the work is done; what closes afterwards is not measured.
func (j job) do(ctx context.Context) (s sample, err error) {
	be := cpu.New(1)
	defer be.Close()
	before, err := measure.Memory()
	if err != nil {
		return s, err
	}
	s.Before = before["VmHWM"]
	begin := time.Now()
	if j.Read {
		w, err := hf.OpenWeights(j.Dir)
		if err != nil {
			return s, err
		}
		defer w.Close()
		for _, name := range w.Names() {
			b, err := w.Raw(name)
			if err != nil {
				return s, err
			}
			s.Tensors, s.Bytes, s.Sum = s.Tensors+1, s.Bytes+int64(len(b)), s.Sum+wordSum(b)
		}
	} else {
		m, err := model.LoadAs(ctx, be, j.Dir, model.LoadOptions{Weights: "auto"})
		if err != nil {
			return s, err
		}
		defer m.Close()
	}
	s.Seconds = time.Since(begin).Seconds()
	after, err := measure.Memory()
	// The kernel's numbers of this process, /proc/self/status.
	s.Peak, s.Own = after["VmHWM"], after["RssAnon"]
	return s, err
}

// wordSum adds little-endian 64-bit words, and the bytes behind the last.
// It touches every byte and costs little beside the reading; the script of the reference computes
// the same.
func wordSum(b []byte) (sum uint64) {
	for ; len(b) >= 32; b = b[32:] {
		sum += binary.LittleEndian.Uint64(b) + binary.LittleEndian.Uint64(b[8:]) +
			binary.LittleEndian.Uint64(b[16:]) + binary.LittleEndian.Uint64(b[24:])
	}
	for ; len(b) >= 8; b = b[8:] {
		sum += binary.LittleEndian.Uint64(b)
	}
	for _, c := range b {
		sum += uint64(c)
	}
	return sum
}
