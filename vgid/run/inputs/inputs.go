package inputs

import (
	"errors"

	"vgid/eval/dataset"
	"vgid/model/backend"
	"vgid/model/hf/modeldir"
	"vgid/vgid/config"
	"vgid/vgid/run/barrier"
	"vgid/vgid/run/fingerprint"
	"vgid/vgid/run/ledger"
	"vgid/vgid/run/rundir"
	"vgid/vgid/run/transfer"
)

// Inputs are what a run reads, opened.
//
// What must hold: all ranks ask for the same in the same order; what they get is equal
// on all of them, or an error on all of them; and it is of the files that the
// fingerprints beside it say, whatever was kept from before.
type Inputs struct {
	Options
	models    map[string]*modeldir.Dir // by path
	templates *Instructions            // once they were read
	verified  map[string]bool          // pictures that were decoded: where they are, and digests
}

// Options are what Inputs work with.
type Options struct {
	Config   config.Config
	Backend  backend.Backend // models that are shipped are made on it
	Ranks    *barrier.Group
	Dir      *rundir.Dir
	Files    *fingerprint.Files
	Transfer *transfer.Transfer
	Stages   *ledger.Ledger // a benchmark that is built has a record
	Say      func(format string, args ...any)
	Opened
}

// Opened are folders that are open already, as where several runs of one process read
// the same: what they give depends on their files alone, not on who asked before. Who
// opened them closes them.
type Opened struct {
	Models     []*modeldir.Dir
	Benchmarks []*dataset.Benchmark
}

// New opens nothing yet.
func New(o Options) *Inputs {
	return &Inputs{Options: o, models: map[string]*modeldir.Dir{}, verified: map[string]bool{}}
}

// Close closes the model folders that these Inputs opened.
func (in *Inputs) Close() error {
	var errs []error
	for _, d := range in.models {
		errs = append(errs, d.Close())
	}
	clear(in.models)
	return errors.Join(errs...)
}
