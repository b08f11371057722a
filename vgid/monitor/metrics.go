// Package monitor shows a running job: to Prometheus, and to the person at the
// terminal.
package monitor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Phase is a part of a training step.
type Phase int

// The phases of a step, in the order they run.
const (
	PhaseData Phase = iota
	PhaseTeacher
	PhaseForward
	PhaseBackward
	PhaseComm // waiting for other workers; what overlaps with backward is not in it
	PhaseOptimizer
	phases
)

var phaseNames = [phases]string{"data", "teacher", "student_forward", "backward", "communication", "optimizer"}

func (p Phase) String() string { return phaseNames[p] }

// Step is what one optimizer step reports.
type Step struct {
	Stage           string
	Number          int // of the step, counted from 1
	Samples, Tokens int // of this worker
	Loss            map[string]float64
	GradNorm, LR    float64
	Phases          [phases]time.Duration
	Comm            Communication
}

// Metrics are the series of one worker. Totals and gauges carry the label
// stage; rank is a constant label, so that several workers of a machine can be
// scraped into one view.
// Its methods may be called by several goroutines, and while it is scraped.
type Metrics struct {
	reg                    *prometheus.Registry
	steps, samples, tokens *prometheus.CounterVec
	seconds                *prometheus.CounterVec
	loss                   *prometheus.GaugeVec
	gradNorm, lr           *prometheus.GaugeVec
	duration               *prometheus.HistogramVec
	exposed, bandwidth     *prometheus.GaugeVec
	moved, moving          *prometheus.CounterVec
	step, planned          *prometheus.GaugeVec
	asked                  *prometheus.CounterVec
	questions              *prometheus.GaugeVec
	checkpoint             *prometheus.GaugeVec
	info                   *prometheus.GaugeVec
}

// Traffic reports the bytes a worker has sent to and received from others.
type Traffic func() (sent, received uint64)

// NewMetrics makes the series of a worker.
//
// The registry is its own and not the process's default, so that several workers can live
// in one process, as in tests. traffic is asked at every scrape.
func NewMetrics(rank, worldSize int, traffic Traffic) *Metrics {
	labels := prometheus.Labels{"rank": strconv.Itoa(rank)}
	counter := func(name, help string, by ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vgid_" + name, Help: help, ConstLabels: labels}, by)
	}
	gauge := func(name, help string, by ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "vgid_" + name, Help: help, ConstLabels: labels}, by)
	}
	m := &Metrics{
		reg:      prometheus.NewRegistry(),
		steps:    counter("steps_total", "Optimizer steps done.", "stage"),
		samples:  counter("samples_total", "Samples this worker trained on.", "stage"),
		tokens:   counter("tokens_total", "Tokens this worker ran through the student.", "stage"),
		seconds:  counter("step_seconds_total", "Time spent in each phase of the steps.", "stage", "phase"),
		loss:     gauge("loss", "Loss of the latest step over all workers, by term.", "stage", "term"),
		gradNorm: gauge("grad_norm", "Global gradient norm of the latest step, before clipping.", "stage"),
		lr:       gauge("learning_rate", "Learning rate of the latest step.", "stage"),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "vgid_step_duration_seconds", Help: "Time of whole steps.",
			ConstLabels: labels, Buckets: prometheus.ExponentialBuckets(0.01, 2, 16)}, []string{"stage"}),
		exposed:    gauge("exposed_communication_ratio", "Share of the latest step in which this worker did nothing but wait for others.", "stage"),
		bandwidth:  gauge("bus_bandwidth_bytes_per_second", "Bytes that had to pass each worker's link for gradients (and parameters, where their update is sharded), over the time that those operations ran, in the latest step.", "stage"),
		moved:      counter("bus_bytes_total", "Bytes that had to pass each worker's link for gradients, and for parameters where their update is sharded.", "stage"),
		moving:     counter("bus_seconds_total", "Time that operations ran for those bytes, beside the backward pass or not.", "stage"),
		step:       gauge("step", "Number of the latest step; of a resumed stage it goes on where that was.", "stage"),
		planned:    gauge("steps_planned", "Steps of the stage.", "stage"),
		asked:      counter("questions_total", "Questions this worker has put to a model, those whose options are scored once more.", "stage"),
		questions:  gauge("questions_planned", "Questions this worker will have put to the model.", "stage"),
		checkpoint: gauge("checkpoint_timestamp_seconds", "When the latest checkpoint was complete, in Unix time.", "stage"),
		info:       gauge("info", "1; the labels say what runs where.", "version", "device", "host", "node"),
	}
	world := prometheus.NewGauge(prometheus.GaugeOpts{Name: "vgid_world_size", Help: "Workers of the job.", ConstLabels: labels})
	world.Set(float64(worldSize))
	sent := prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "vgid_sent_bytes_total", Help: "Bytes sent to other workers.", ConstLabels: labels},
		func() float64 { s, _ := traffic(); return float64(s) })
	received := prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "vgid_received_bytes_total", Help: "Bytes received from other workers.", ConstLabels: labels},
		func() float64 { _, r := traffic(); return float64(r) })
	m.reg.MustRegister(m.steps, m.samples, m.tokens, m.seconds, m.loss, m.gradNorm, m.lr, m.duration, m.exposed, m.bandwidth, m.moved, m.moving, m.step, m.planned, m.asked, m.questions, m.checkpoint, m.info, world, sent, received,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Waits are the times that a worker waited for the others, by rank.
type Waits struct {
	Waited []time.Duration // for frames of the peer
	Held   []time.Duration // because the peer had not come to an operation
}

// Peers adds, for every other worker, the times that this one waited for it.
// waits is asked at every scrape; its lists are as long as there are workers.
func (m *Metrics) Peers(rank int, waits func() Waits) {
	for peer := range waits().Held {
		if peer == rank {
			continue
		}
		add := func(name, help string, of func(Waits) []time.Duration) {
			m.reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "vgid_" + name, Help: help,
				ConstLabels: prometheus.Labels{"rank": strconv.Itoa(rank), "peer": strconv.Itoa(peer)}},
				func() float64 { return of(waits())[peer].Seconds() }))
		}
		add("waited_for_seconds_total", "Time that collective operations waited for the peer's frames, which may have waited for others.",
			func(w Waits) []time.Duration { return w.Waited })
		add("held_up_by_seconds_total", "Time that collective operations waited because the peer, alive, had not come to them; waits of less than two heartbeats do not count.",
			func(w Waits) []time.Duration { return w.Held })
	}
}

// Describe says what runs where: the program's version, the device, the machine's
// name and the node's rank.
func (m *Metrics) Describe(version, device, host string, node int) {
	m.info.WithLabelValues(version, device, host, strconv.Itoa(node)).Set(1)
}

// Plan begins a stage of so many steps, of which some are done.
func (m *Metrics) Plan(stage string, steps, done int) {
	m.planned.WithLabelValues(stage).Set(float64(steps))
	m.step.WithLabelValues(stage).Set(float64(done))
}

// Ask begins a stage that puts so many questions to a model; every Asked says that
// n more of them are answered.
func (m *Metrics) Ask(stage string, questions int) {
	m.questions.WithLabelValues(stage).Set(float64(questions))
	// So that the series is there, at 0, before the first answer.
	m.asked.WithLabelValues(stage)
}

// Asked says that n more of a stage's questions are answered.
func (m *Metrics) Asked(stage string, n int) { m.asked.WithLabelValues(stage).Add(float64(n)) }

// Checkpoint says that a checkpoint of a stage is complete.
func (m *Metrics) Checkpoint(stage string, at time.Time) {
	m.checkpoint.WithLabelValues(stage).Set(float64(at.UnixMilli()) / 1000)
}

// Observe records a step.
// The duration is the sum of the phases, so that the histogram and the counters agree.
func (m *Metrics) Observe(s Step) {
	m.step.WithLabelValues(s.Stage).Set(float64(s.Number))
	m.duration.WithLabelValues(s.Stage).Observe(s.Whole().Seconds())
	m.exposed.WithLabelValues(s.Stage).Set(s.ExposedShare())
	m.bandwidth.WithLabelValues(s.Stage).Set(s.Comm.Bandwidth())
	m.moved.WithLabelValues(s.Stage).Add(s.Comm.Bus)
	m.moving.WithLabelValues(s.Stage).Add(s.Comm.Took.Seconds())
	m.steps.WithLabelValues(s.Stage).Inc()
	m.samples.WithLabelValues(s.Stage).Add(float64(s.Samples))
	m.tokens.WithLabelValues(s.Stage).Add(float64(s.Tokens))
	for p, d := range s.Phases {
		m.seconds.WithLabelValues(s.Stage, Phase(p).String()).Add(d.Seconds())
	}
	for term, v := range s.Loss {
		m.loss.WithLabelValues(s.Stage, term).Set(v)
	}
	m.gradNorm.WithLabelValues(s.Stage).Set(s.GradNorm)
	m.lr.WithLabelValues(s.Stage).Set(s.LR)
}

// Serve answers GET /metrics on addr until ctx ends, and reports the address
// that was taken. A port other than 0 is raised by the worker's local rank.
// stop closes the listener and waits for the server to end.
func (m *Metrics) Serve(ctx context.Context, addr string, localRank int) (string, func() error, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", nil, fmt.Errorf("metrics.addr %q: want host:port, for example 127.0.0.1:9464", addr)
	}
	n, err := strconv.Atoi(port)
	if err != nil || n < 0 || n+localRank > 65535 {
		return "", nil, fmt.Errorf("metrics.addr %q: port %q is not usable", addr, port)
	}
	if n > 0 {
		n += localRank
	}
	addr = net.JoinHostPort(host, strconv.Itoa(n))
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return "", nil, fmt.Errorf("metrics.addr: %s is taken by another process: choose another port, or 0 for any free one", addr)
	}
	if err != nil {
		return "", nil, fmt.Errorf("metrics.addr: %w; give an address of this machine", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.reg, promhttp.HandlerOpts{}))
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	stop := func() error {
		err := srv.Close()
		if e := <-done; e != nil && !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
		return err
	}
	return l.Addr().String(), stop, nil
}
