package job

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"golang.org/x/sys/unix"
)

// script is the job of a transcript.
type script struct{ sim *sim }

// command runs one command of a transcript. Nodes and ranks are numbers, times
// are as 300ms.
//
//	job nodes=N [procs=N] [grace=TIME] [watched]   a new job, whose workers run
//	run TIME                           let time pass, and see what the agents do
//	exit RANK [code=N] [signal=NAME] [line=WORDS] [more] [log-err=WORDS] [after=TIME]   a worker ends by itself
//	worker RANK [obeys=TIME|never] [code=N]   how it ends when it is asked to
//	stop RANK | continue RANK          a worker stands still, goes on
//	peers TIME                         ranks end that long after one they compute with
//	kill-agent NODE | freeze NODE | thaw NODE
//	power-off NODE                     agent and workers are gone, and nothing answers there
//	cut NODE NODE [one-way]            packets from the first to the second are lost
//	isolate NODE                       from all others
//	signal NODE NAME                   somebody sends it to that launcher
func (c *script) command(t *testing.T, d *datadriven.TestData) string {
	arg := func(i int) string { return d.CmdArgs[i].Key }
	number := func(i int) (n int) {
		if _, err := fmt.Sscan(arg(i), &n); err != nil {
			d.Fatalf(t, "%v", err)
		}
		return n
	}
	span := func(text string) time.Duration {
		v, err := time.ParseDuration(text)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		return v
	}
	named := func(key, def string) string {
		d.MaybeScanArgs(t, key, &def)
		return def
	}
	count := func(key string, n int) int {
		d.MaybeScanArgs(t, key, &n)
		return n
	}
	signal := func(name string) syscall.Signal {
		if name == "" {
			return 0
		}
		n := unix.SignalNum(name)
		if n == 0 {
			d.Fatalf(t, "no signal %s", name)
		}
		return n
	}
	if d.Cmd == "job" {
		c.sim = newSim(count("nodes", 1), count("procs", 1), span(named("grace", "10s")), d.HasArg("watched"))
		return ""
	}
	s := c.sim
	s.log.Reset()
	switch d.Cmd {
	case "run":
		s.run(span(arg(0)))
	case "exit":
		e := Exit{Code: count("code", 0), Signal: int(signal(named("signal", ""))), Line: d.Input, More: d.HasArg("more"), LogErr: named("log-err", "")}
		w := s.worker(number(0))
		s.after(span(named("after", "0s")), func() { w.end(e) })
	case "worker":
		w := s.worker(number(0))
		w.asCode = count("code", w.asCode)
		if obeys := named("obeys", w.obeys.String()); obeys == "never" {
			w.obeys = -1
		} else {
			w.obeys = span(obeys)
		}
	case "stop":
		s.worker(number(0)).stands = true
	case "continue":
		s.worker(number(0)).stands = false
	case "peers":
		after := span(arg(0))
		s.peersFail = func() time.Duration { return after }
	case "kill-agent":
		s.agents[number(0)].die(false)
	case "power-off":
		s.agents[number(0)].die(true)
	case "freeze":
		s.agents[number(0)].freeze()
	case "thaw":
		s.agents[number(0)].thaw()
	case "cut":
		a, b := number(0), number(1)
		s.cut(a, b)
		if !d.HasArg("one-way") {
			s.cut(b, a)
		}
	case "isolate":
		s.isolate(number(0))
	case "signal":
		a, name := s.agents[number(0)], signal(arg(1))
		a.take(func() []Effect { return a.m.Signal(name, s.time()) })
	default:
		d.Fatalf(t, "unknown command")
	}
	return s.log.String()
}

// TestTranscripts replays testdata: commands, each followed by ---- and what
// the agents did. Run with -rewrite to write the answers anew, and read the
// difference.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata/transcripts", func(t *testing.T, path string) {
		c := &script{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return c.command(t, d) })
	})
}
