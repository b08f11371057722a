package monitor

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

func TestMetricsEndpoint(t *testing.T) {
	m := NewMetrics(3, 4, func() (uint64, uint64) { return 11, 22 })
	m.Peers(3, func() Waits {
		return Waits{Waited: []time.Duration{0, 1500 * time.Millisecond, 0, 0}, Held: []time.Duration{0, time.Second, 0, 0}}
	})
	s := Step{Stage: "unlearn", Number: 41, Samples: 5, Tokens: 70, Loss: map[string]float64{"forget": 1.5}, GradNorm: 2, LR: 1e-3}
	s.Phases[PhaseTeacher] = 2 * time.Second
	s.Comm.Add(1000, 1.5, time.Second)
	m.Describe("v1.2", "cpu", "node-a", 1)
	m.Plan("unlearn", 100, 39)
	m.Observe(s)
	s.Number++
	s.Phases[PhaseTeacher], s.Phases[PhaseComm] = 1500*time.Millisecond, 500*time.Millisecond
	m.Observe(s)
	m.Checkpoint("unlearn", time.Unix(1700000000, 0))
	m.Ask("eval-vanilla", 30)
	m.Asked("eval-vanilla", 12)
	m.Asked("eval-vanilla", 8)
	addr, stop, err := m.Serve(t.Context(), "127.0.0.1:0", 3)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	r.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`vgid_steps_total{rank="3",stage="unlearn"} 2`,
		`vgid_tokens_total{rank="3",stage="unlearn"} 140`,
		`vgid_step_seconds_total{phase="teacher",rank="3",stage="unlearn"} 3.5`,
		`vgid_exposed_communication_ratio{rank="3",stage="unlearn"} 0.25`,
		`vgid_bus_bandwidth_bytes_per_second{rank="3",stage="unlearn"} 1500`,
		`vgid_bus_bytes_total{rank="3",stage="unlearn"} 3000`,
		`vgid_bus_seconds_total{rank="3",stage="unlearn"} 2`,
		`vgid_loss{rank="3",stage="unlearn",term="forget"} 1.5`,
		`vgid_sent_bytes_total{rank="3"} 11`,
		`vgid_received_bytes_total{rank="3"} 22`,
		`vgid_waited_for_seconds_total{peer="1",rank="3"} 1.5`, `vgid_waited_for_seconds_total{peer="2",rank="3"} 0`,
		`vgid_held_up_by_seconds_total{peer="1",rank="3"} 1`,
		`vgid_world_size{rank="3"} 4`,
		`vgid_info{device="cpu",host="node-a",node="1",rank="3",version="v1.2"} 1`,
		`vgid_step{rank="3",stage="unlearn"} 42`,
		`vgid_steps_planned{rank="3",stage="unlearn"} 100`,
		`vgid_step_duration_seconds_bucket{rank="3",stage="unlearn",le="1.28"} 0`,
		`vgid_step_duration_seconds_bucket{rank="3",stage="unlearn",le="2.56"} 2`,
		`vgid_step_duration_seconds_sum{rank="3",stage="unlearn"} 4`,
		`vgid_checkpoint_timestamp_seconds{rank="3",stage="unlearn"} 1.7e+09`,
		`vgid_questions_planned{rank="3",stage="eval-vanilla"} 30`,
		`vgid_questions_total{rank="3",stage="eval-vanilla"} 20`,
	} {
		if !strings.Contains(string(body), want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	// Names, types, units and help as Prometheus wants them.
	problems, err := promlint.New(bytes.NewReader(body)).Lint()
	if err != nil {
		t.Error(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}

	// The same port again is refused with advice.
	port := addr[strings.LastIndex(addr, ":")+1:]
	if _, _, err := m.Serve(t.Context(), "127.0.0.1:"+port, 0); err == nil || !strings.Contains(err.Error(), "is taken by another process") {
		t.Errorf("occupied port: %v", err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"9464", "x:y", "127.0.0.1:70000"} {
		if _, _, err := m.Serve(t.Context(), bad, 0); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestProgress(t *testing.T) {
	var b bytes.Buffer
	now := time.Unix(0, 0)
	p := &Progress{w: &b, interval: 10 * time.Second, now: func() time.Time { return now }}
	p.Start("vanilla", 100, 0, "steps")
	for i := 1; i <= 100; i++ {
		now = now.Add(time.Second)
		p.Update(i, "loss 1")
	}
	p.Finish("")
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != 11 {
		t.Fatalf("%d lines for 100 s at one every 10 s and an end:\n%s", len(lines), b.String())
	}
	if want := "vanilla    10/100  1 steps/s  ETA 1m30s  loss 1"; lines[0] != want {
		t.Errorf("got  %q\nwant %q", lines[0], want)
	}
	if want := "vanilla    100 steps in 1m40s"; lines[10] != want {
		t.Errorf("got  %q\nwant %q", lines[10], want)
	}

	b.Reset()
	p = &Progress{w: &b, live: true, columns: func() int { return 80 }, now: func() time.Time { return now }}
	p.Start("eval", 2, 0, "items")
	now = now.Add(time.Second)
	p.Update(1, "")
	p.Printf("note")
	if !strings.Contains(b.String(), "\r") || !strings.HasSuffix(b.String(), "note\n") {
		t.Errorf("live line: %q", b.String())
	}
	p.Update(2, "")
	p.Break()
	p.Break()
	if !strings.HasSuffix(b.String(), "2/2  2 items/s  ETA 0.0s\n") {
		t.Errorf("a line left behind: %q", b.String())
	}
}

// A stage that goes on where another process left it shows its own rate.
func TestProgressOfAResumedStage(t *testing.T) {
	var b strings.Builder
	now := time.Unix(0, 0)
	p := &Progress{w: &b, interval: time.Second, now: func() time.Time { return now }}
	p.Start("gold", 100, 60, "steps")
	now = now.Add(10 * time.Second)
	p.Update(80, "")
	now = now.Add(10 * time.Second)
	p.Finish("")
	if want := "gold       80/100  2 steps/s  ETA 10.0s\ngold       20 steps in 20.0s\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}

// A line as long as the terminal is wide wraps, and then every update would
// leave one behind.
func TestProgressFitsTheTerminal(t *testing.T) {
	now := time.Unix(0, 0)
	for _, columns := range []int{1, 2, 10, 40, 60, 80, 100, 200} {
		var b bytes.Buffer
		wide := columns
		p := &Progress{w: &b, live: true, columns: func() int { return wide }, now: func() time.Time { return now }}
		p.Start("unlearned", 200, 0, "steps")
		for i := 1; i <= 200; i++ {
			now = now.Add(time.Second)
			p.Update(i, "forget 1.5897  retain 0.0000")
			if i == 100 { // the window was made narrower
				wide = columns/2 + 1
				b.Reset()
			}
		}
		last := b.String()[strings.LastIndex(b.String(), "\r")+1:]
		p.clear()
		for _, line := range strings.Split(b.String(), "\r") {
			if n := len([]rune(line)); n > max(1, wide-1) {
				t.Errorf("%d columns: a line of %d: %q", wide, n, line)
			}
		}
		bar, all := strings.Count(last, "█"), strings.HasSuffix(strings.TrimRight(last, " "), "retain 0.0000")
		if columns == 200 && (bar != 20 || !all) || columns == 100 && (bar != 0 || all) {
			t.Errorf("%d columns: %q", wide, last)
		}
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestProgressRemembersWhatWasLost(t *testing.T) {
	p := &Progress{w: fullDisk{}, now: time.Now}
	if p.Err() != nil {
		t.Error(p.Err())
	}
	p.Start("eval", 1, 0, "items")
	p.Update(1, "")
	if !errors.Is(p.Err(), syscall.ENOSPC) {
		t.Errorf("got %v", p.Err())
	}
}
