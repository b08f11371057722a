package run

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"vgid/vgid/monitor"
	"vgid/vgid/run/barrier"
	"vgid/vgid/run/rundir"
)

// Target is where a worker's /metrics are.
type Target struct {
	Addr    string // host:port; empty: it serves none
	Machine string // the same for workers of one machine
}

// targetFiles are where the targets of a run are listed: in a folder for all runs,
// which Prometheus can watch (files: [OUT/metrics/*.json]), and in the run's own.
func (j *Job) targetFiles() []string {
	return []string{
		filepath.Join(j.Config.Out, "metrics", url.PathEscape(j.Config.Name)+".json"),
		j.dir.Path("metrics.json"),
	}
}

// PublishMetrics lists the addresses of all workers' /metrics for Prometheus
// (file_sd) until WithdrawMetrics. All ranks call it, those that serve none, too.
func (j *Job) PublishMetrics(ctx context.Context, mine Target) error {
	all, err := barrier.Exchange(ctx, j.ranks, mine)
	if err != nil {
		return err
	}
	return j.ranks.OnRank0(ctx, func() error {
		lead := all[0]
		var addrs []string
		hidden := 0
		for _, t := range all {
			switch {
			case t.Addr == "":
			case monitor.IsLoopback(t.Addr) && t.Machine != lead.Machine:
				hidden++ // at that address Prometheus would find another worker, or nobody
			default:
				addrs = append(addrs, t.Addr)
			}
		}
		if hidden > 0 {
			j.Show.Printf("note: the metrics of %d workers are on the loopback of other machines, and not listed; leave the host out of metrics.addr to have them on the network", hidden)
		}
		if len(addrs) == 0 {
			return j.withdraw() // what a run that was killed left
		}
		groups := []struct {
			Targets []string          `json:"targets"`
			Labels  map[string]string `json:"labels"`
		}{{addrs, map[string]string{"job": "vgid", "run": j.Config.Name}}}
		list, err := json.MarshalIndent(groups, "", "  ")
		if err != nil {
			return err
		}
		j.published = true
		for _, path := range j.targetFiles() {
			if err := rundir.WriteFile(path, append(list, '\n')); err != nil {
				return err
			}
		}
		return nil
	})
}

// WithdrawMetrics removes the list of targets, whose ports may soon be others'.
// What a run that is killed leaves is replaced by the next of its name.
func (j *Job) WithdrawMetrics() error {
	if !j.published {
		return nil
	}
	j.published = false
	return j.withdraw()
}

func (j *Job) withdraw() (err error) {
	for _, path := range j.targetFiles() {
		if e := os.Remove(path); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}
