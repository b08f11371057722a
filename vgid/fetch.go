package vgid

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"vgid/model/hub"
	"vgid/vgid/monitor"
)

// meetEvery is how often workers that fetch a model tell each other that they
// still do. A download may take longer than any operation is waited for.
const meetEvery = 2 * time.Second

// fetch brings a model that is named ORG/NAME into the cache of every worker's
// machine, and checks that all got the same commit. All ranks call it.
func (j *Job) fetch(ctx context.Context, ref string) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	type result struct {
		dir string
		err error
	}
	ended := make(chan result, 1)
	var own result
	running := true
	go func() {
		dir, err := hub.Folder(ctx, ref, hub.Whole, lines{j.Show})
		ended <- result{dir, err}
	}()
	defer func() {
		if cancel(); running {
			<-ended
		}
	}()
	for {
		select {
		case own = <-ended:
			running = false
		case <-time.After(meetEvery):
		}
		word := "…"
		if !running {
			word = "=" + filepath.Base(own.dir)
		}
		if own.err != nil {
			word = "!" + own.err.Error()
		}
		all, err := j.Comm.AllGatherBytes(ctx, []byte(word))
		if own.err != nil {
			return "", own.err
		}
		if err != nil {
			return "", err
		}
		done := true
		for r, w := range all {
			if text, failed := strings.CutPrefix(string(w), "!"); failed {
				return "", &LeadError{Rank: r, Text: text}
			}
			done = done && w[0] == '='
		}
		if !done {
			continue
		}
		for r, w := range all {
			if string(w) != string(all[0]) {
				return "", fmt.Errorf("model %s changed on the hub meanwhile: rank 0 got commit %s, rank %d commit %s; name one of them, %s@%s",
					ref, all[0][1:], r, w[1:], strings.Split(ref, "@")[0], all[0][1:])
			}
		}
		return own.dir, nil
	}
}

// lines writes to a run's progress.
type lines struct{ show *monitor.Progress }

func (l lines) Write(b []byte) (int, error) {
	l.show.Printf("%s", strings.TrimRight(string(b), "\n"))
	return len(b), nil
}
