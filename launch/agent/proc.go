//go:build unix

package agent

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"vgid/launch"
	"vgid/launch/job"
	"vgid/launch/view"
)

// worker is one running process of a rank.
//
// What must always hold: no signal is sent once the process was waited for, as
// its number may be another's by then; stopped says whether it had been asked
// to end while it ran, which decides whether its end can be a first cause; and
// nothing in its process group outlives it.
type worker struct {
	rank int
	out  *output
	cmd  *exec.Cmd
	tell *os.File // launch.Notice lines

	mu      sync.Mutex
	running bool
	stopped bool          // the launcher asked it to end
	stood   time.Duration // it was killed because it stood still for so long
}

// strayDelay is how long output of a dead worker's children is waited for.
const strayDelay = time.Second

// start runs the command as a rank. Its end is told to a.exits, once, when the
// process is gone.
func (a *agent) start(v view.View, r view.Rank) (*worker, error) {
	raw := v.WorldSize() == 1
	out, err := newOutput(a.o, a.io.Stdout, a.io.Stderr, r.Rank, raw)
	if err != nil {
		return nil, err
	}
	w := &worker{rank: r.Rank, out: out}
	w.cmd = exec.Command(a.o.Command[0], a.o.Command[1:]...) //nolint:noctx // signals and a grace end it
	w.cmd.Env = workerEnv(a.o, v, r, os.Environ())
	w.cmd.Stdout, w.cmd.Stderr = out.stdout, out.stderr
	if raw && out.file == nil {
		w.cmd.Stdout = a.io.Stdout // itself, so that a worker alone still sees the terminal
	}
	w.cmd.WaitDelay = strayDelay
	w.cmd.SysProcAttr = procAttr()
	started := make(chan struct{})
	a.wg.Go(func() {
		// The parent-death signal of Linux is sent when the thread that
		// started the process ends, so the thread is kept for as long.
		runtime.LockOSThread()
		err := w.launch(a.socks[r.LocalRank])
		close(started)
		if err != nil {
			_ = out.close() // nothing was written
			a.exits <- job.Exit{Rank: r.Rank, Err: err.Error(), AtMilli: time.Now().UnixMilli()}
			return
		}
		a.exits <- w.wait()
	})
	// Until then there is no process to signal, and a signal would be lost.
	<-started
	return w, nil
}

// launch starts the process and hands it its socket and the pipe of notices.
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
func (w *worker) wait() job.Exit {
	err := w.cmd.Wait()
	at := time.Now()
	w.tell.Close()
	w.mu.Lock()
	w.running = false
	e := job.Exit{Rank: w.rank, Stopped: w.stopped, Stood: w.stood.Round(time.Second / 10), AtMilli: at.UnixMilli()}
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
	if cerr := w.out.close(); cerr != nil && e.OK() {
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

// look reports whether the worker stands still, and whether it runs at all.
func (w *worker) look() (stands, runs bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.running && stoppedBelow(w.cmd.Process.Pid), w.running
}

// killStanding kills the worker because it stood still for so long. Where it
// was asked to end before, that is what it ends by.
func (w *worker) killStanding(stood time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.running {
		return
	}
	if !w.stopped {
		w.stood = stood
	}
	syscall.Kill(-w.cmd.Process.Pid, syscall.SIGKILL)
}
