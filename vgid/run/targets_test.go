package run

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"vgid/collective"
	"vgid/collective/mem"
	"vgid/vgid/config"
	"vgid/vgid/monitor"
)

// publish lists the targets of so many ranks and gives what the files say.
func publish(t *testing.T, c config.Config, targets []Target) (jobs []*Job, said [2][]string) {
	t.Helper()
	jobs = make([]*Job, len(targets))
	errs := make(chan error, len(targets))
	transports := mem.New(len(targets))
	for r, target := range targets {
		go func() {
			comm, err := collective.New(transports[r], collective.Options{Timeout: c.Collective.Timeout})
			if err == nil {
				defer comm.Close()
				jobs[r] = New(Options{Config: c, Comm: comm, Show: monitor.NewProgress(nil)})
				err = jobs[r].Targets.Publish(context.Background(), target)
			}
			errs <- err
		}()
	}
	for range targets {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	for i, path := range jobs[0].Targets.files() {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		var groups []struct {
			Targets []string
			Labels  map[string]string
		}
		if err := json.Unmarshal(raw, &groups); err != nil || len(groups) != 1 || groups[0].Labels["run"] != c.Name {
			t.Fatalf("%v in %s", err, raw)
		}
		said[i] = groups[0].Targets
	}
	return jobs, said
}

func TestTargets(t *testing.T) {
	c := config.Default()
	c.Out, c.Name = t.TempDir(), "seeds/a b"
	watched := filepath.Join(c.Out, "metrics", "*.json") // as Prometheus has it: * in the last part only
	for name, tc := range map[string]struct {
		targets []Target
		want    []string
	}{
		"one":                       {[]Target{{"127.0.0.1:1", ""}}, []string{"127.0.0.1:1"}},
		"one machine":               {[]Target{{"127.0.0.1:1", ""}, {"127.0.0.1:2", ""}}, []string{"127.0.0.1:1", "127.0.0.1:2"}},
		"two machines":              {[]Target{{"10.0.0.1:1", "10.0.0.1"}, {"10.0.0.2:1", "10.0.0.2"}}, []string{"10.0.0.1:1", "10.0.0.2:1"}},
		"loopback of two machines":  {[]Target{{"127.0.0.1:1", "10.0.0.1"}, {"127.0.0.1:1", "10.0.0.2"}}, []string{"127.0.0.1:1"}},
		"one of two serves none":    {[]Target{{"", "10.0.0.1"}, {"[fd00::2]:1", "fd00::2"}}, []string{"[fd00::2]:1"}},
		"none after one was killed": {[]Target{{"", ""}, {"", ""}}, nil},
	} {
		if tc.want == nil { // its leftovers
			publish(t, c, []Target{{"127.0.0.1:7", ""}})
		}
		jobs, said := publish(t, c, tc.targets)
		for _, s := range said {
			if !reflect.DeepEqual(s, tc.want) {
				t.Errorf("%s: %q, want %q", name, s, tc.want)
			}
		}
		if found, err := filepath.Glob(watched); err != nil || (len(found) == 1) != (tc.want != nil) {
			t.Errorf("%s: watched %q, %v", name, found, err)
		}
		for range 2 {
			for _, j := range jobs {
				if err := j.Targets.Withdraw(); err != nil {
					t.Error(err)
				}
			}
		}
		for _, path := range jobs[0].Targets.files() {
			if _, err := os.Stat(path); err == nil {
				t.Errorf("%s: %s is left", name, path)
			}
		}
	}
}
