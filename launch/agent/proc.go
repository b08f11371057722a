//go:build unix

package agent

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"vgid/launch"
	"vgid/launch/view"
)

// worker is one running process of a rank.
type worker struct {
	rank int
	out  *output
	cmd  *exec.Cmd
	tell *os.File // launch.Notice lines

	mu      sync.Mutex
	running bool
	stopped bool // the launcher asked it to end
	still   standstill
	stood   time.Duration // it was killed because it stood still for so long
}

// strayDelay is how long output of a dead worker's children is waited for.
const strayDelay = time.Second

// start runs the command as a rank; ended is called once, from a goroutine
// counted in wg, when the process is gone.
func start(o *Options, v view.View, r view.Rank, ln *net.TCPListener, out *output, raw bool, stdout *os.File, wg *sync.WaitGroup, ended func(Exit)) *worker {
	w := &worker{rank: r.Rank, out: out}
	w.cmd = exec.Command(o.Command[0], o.Command[1:]...) //nolint:noctx // signals and a grace end it
	w.cmd.Env = workerEnv(o, v, r, os.Environ())
	w.cmd.Stdout, w.cmd.Stderr = out.stdout, out.stderr
	if raw && out.file == nil {
		w.cmd.Stdout = stdout // itself, so that a worker alone still sees the terminal
	}
	w.cmd.WaitDelay = strayDelay
	w.cmd.SysProcAttr = procAttr()
	started := make(chan struct{})
	wg.Go(func() {
		// The parent-death signal of Linux is sent when the thread that
		// started the process ends, so the thread is kept for as long.
		runtime.LockOSThread()
		err := w.launch(ln)
		close(started)
		if err != nil {
			_ = out.close() // nothing was written
			ended(Exit{Rank: r.Rank, Err: err.Error(), AtMilli: time.Now().UnixMilli()})
			return
		}
		ended(w.wait())
	})
	<-started
	return w
}

func (w *worker) launch(ln *net.TCPListener) error {
	f, err := ln.File()
	if err != nil {
		return err
	}
	defer f.Close()
	// The worker alone listens: when it dies, its peers are refused at once
	// instead of waiting in a queue nobody serves.
	defer ln.Close()
	notices, tell, err := os.Pipe()
	if err != nil {
		return err
	}
	defer notices.Close()
	w.cmd.ExtraFiles = []*os.File{f, notices}
	if err := w.cmd.Start(); err != nil {
		tell.Close()
		return err
	}
	w.tell = tell
	w.mu.Lock()
	w.running = true
	w.mu.Unlock()
	return nil
}

// wait returns how the process ended, after all it wrote was passed on.
func (w *worker) wait() Exit {
	err := w.cmd.Wait()
	at := time.Now()
	w.tell.Close()
	w.mu.Lock()
	w.running = false
	e := Exit{Rank: w.rank, Stopped: w.stopped, Stood: w.stood.Round(time.Second / 10), AtMilli: at.UnixMilli()}
	w.mu.Unlock()
	// What it left behind goes with it.
	syscall.Kill(-w.cmd.Process.Pid, syscall.SIGKILL)
	ws, ok := w.cmd.ProcessState.Sys().(syscall.WaitStatus)
	switch {
	case ok && ws.Signaled():
		e.Signal = int(ws.Signal())
	case ok && ws.Exited():
		e.Code = ws.ExitStatus()
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		e.Err = err.Error()
	}
	if cerr := w.out.close(); cerr != nil && e.ok() {
		e.LogErr = cerr.Error()
	}
	line, more := w.out.stderr.words.of(e.Code, e.Signal)
	e.Line, e.More, e.Log = clip(line), more, w.out.path()
	return e
}

// signal asks the worker to end, or kills it. It sends to the whole process
// group, as a terminal would.
func (w *worker) signal(s syscall.Signal) { w.send(s, true) }

// pass hands on a signal that does not ask it to end.
func (w *worker) pass(s syscall.Signal) { w.send(s, false) }

func (w *worker) send(s syscall.Signal, stops bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running {
		w.stopped = w.stopped || stops
		syscall.Kill(-w.cmd.Process.Pid, s)
	}
}

// notice tells the worker of lost ranks. One that does not listen has them in
// its pipe; nobody waits for room there.
func (w *worker) notice(n launch.Notice) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running {
		_ = w.tell.SetWriteDeadline(time.Now().Add(10 * time.Millisecond)) // a pipe has deadlines
		_, _ = n.WriteTo(w.tell)                                           // fails where it closed its end
	}
}

// look kills the worker when it has stood still for too long: a grace is of no
// use to a process that does not move.
func (w *worker) look(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.running {
		return
	}
	stood := w.still.look(now, stoppedBelow(w.cmd.Process.Pid))
	if stood >= standFor || w.stopped && stood >= standAsked {
		if !w.stopped {
			w.stood = stood
		}
		syscall.Kill(-w.cmd.Process.Pid, syscall.SIGKILL)
	}
}

// workerEnv is the launcher's environment with the contract of package launch.
func workerEnv(o *Options, v view.View, r view.Rank, base []string) []string {
	var peers []string
	for _, p := range v.Ranks() {
		peers = append(peers, p.Addr)
	}
	local := strconv.Itoa(len(v.Members[r.NodeRank].Addrs))
	rank, world := strconv.Itoa(r.Rank), strconv.Itoa(v.WorldSize())
	set := [][2]string{
		{launch.EnvRank, rank},
		{launch.EnvWorldSize, world},
		{launch.EnvLocalRank, strconv.Itoa(r.LocalRank)},
		{launch.EnvLocalWorldSize, local},
		{launch.EnvNodeRank, strconv.Itoa(r.NodeRank)},
		{launch.EnvNode, r.Node},
		{launch.EnvEpoch, strconv.FormatUint(v.Epoch, 10)},
		{launch.EnvJob, v.Job},
		{launch.EnvPeers, strings.Join(peers, ",")},
		{launch.EnvToken, v.Token},
		{launch.EnvListenFD, "3"}, {launch.EnvNoticeFD, "4"}, // ExtraFiles
		{"RANK", rank}, {"WORLD_SIZE", world},
		{"LOCAL_RANK", strconv.Itoa(r.LocalRank)}, {"LOCAL_WORLD_SIZE", local},
		{"GROUP_RANK", strconv.Itoa(r.NodeRank)},
	}
	env := make([]string, 0, len(base)+len(set)+1)
	threads := true
	for _, kv := range base {
		name, _, _ := strings.Cut(kv, "=")
		if name == "GOMAXPROCS" {
			threads = false
		}
		known := false
		for _, s := range set {
			known = known || s[0] == name
		}
		if !known && name != envChild {
			env = append(env, kv)
		}
	}
	for _, s := range set {
		env = append(env, s[0]+"="+s[1])
	}
	if threads {
		env = append(env, "GOMAXPROCS="+strconv.Itoa(max(1, runtime.GOMAXPROCS(0)/max(1, o.MachineWorkers))))
	}
	return env
}
