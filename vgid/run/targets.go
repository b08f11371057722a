package run

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"vgid/vgid/config"
	"vgid/vgid/monitor"
	"vgid/vgid/run/barrier"
	"vgid/vgid/run/rundir"
)

// Target is where a worker's /metrics are.
type Target struct {
	Addr    string // host:port; empty: it serves none
	Machine string // the same for workers of one machine
}

// Targets lists where the workers of a run serve their metrics.
//
// What must hold: the lists that were written (Publish) are removed when the run ends
// (Withdraw), however it does, since the ports may soon be others'; what a run that is
// killed leaves is replaced by the next of its name.
type Targets struct {
	conf  config.Config
	ranks *barrier.Group
	dir   *rundir.Dir
	say   func(format string, args ...any)
	// Set before the files are written: of two of which one could not be, the other is
	// removed as well.
	published bool // by rank 0
}

// files are where the targets of a run are listed: in a folder for all runs,
// which Prometheus can watch (files: [OUT/metrics/*.json]), and in the run's own.
func (t *Targets) files() []string {
	return []string{
		filepath.Join(t.conf.Out, "metrics", url.PathEscape(t.conf.Name)+".json"),
		t.dir.Path("metrics.json"),
	}
}

// Publish lists the addresses of all workers' /metrics for Prometheus
// (file_sd) until Withdraw. All ranks call it, those that serve none, too.
// Loopback addresses are listed for rank 0's machine alone, where the file lies.
func (t *Targets) Publish(ctx context.Context, mine Target) error {
	all, err := barrier.Exchange(ctx, t.ranks, mine)
	if err != nil {
		return err
	}
	return t.ranks.OnRank0(ctx, func() error {
		var addrs []string
		hidden := 0
		for _, of := range all {
			switch {
			case of.Addr == "":
			case monitor.IsLoopback(of.Addr) && of.Machine != all[0].Machine:
				hidden++ // at that address Prometheus would find another worker, or nobody
			default:
				addrs = append(addrs, of.Addr)
			}
		}
		if hidden > 0 {
			t.say("note: the metrics of %d workers are on the loopback of other machines, and not listed; leave the host out of metrics.addr to have them on the network", hidden)
		}
		if len(addrs) == 0 {
			return t.withdraw() // what a run that was killed left
		}
		groups := []struct {
			Targets []string          `json:"targets"`
			Labels  map[string]string `json:"labels"`
		}{{addrs, map[string]string{"job": "vgid", "run": t.conf.Name}}}
		list, err := json.MarshalIndent(groups, "", "  ")
		if err != nil {
			return err
		}
		t.published = true
		for _, path := range t.files() {
			if err := rundir.WriteFile(path, append(list, '\n')); err != nil {
				return err
			}
		}
		return nil
	})
}

// Withdraw removes the list of targets, whose ports may soon be others'.
// What a run that is killed leaves is replaced by the next of its name.
func (t *Targets) Withdraw() error {
	if !t.published {
		return nil
	}
	t.published = false
	return t.withdraw()
}

// Files that are not there are no error: Publish calls this before there are any.
func (t *Targets) withdraw() (err error) {
	for _, path := range t.files() {
		if e := os.Remove(path); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}
