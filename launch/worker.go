package launch

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Names of the environment variables a worker is started with.
const (
	EnvRank           = "VGID_RANK"
	EnvWorldSize      = "VGID_WORLD_SIZE"
	EnvLocalRank      = "VGID_LOCAL_RANK"
	EnvLocalWorldSize = "VGID_LOCAL_WORLD_SIZE"
	EnvNodeRank       = "VGID_NODE_RANK"
	EnvNode           = "VGID_NODE"
	EnvEpoch          = "VGID_EPOCH"
	EnvJob            = "VGID_JOB"
	EnvPeers          = "VGID_PEERS"
	EnvToken          = "VGID_TOKEN"
	EnvTLSCA          = "VGID_TLS_CA"
	EnvTLSCert        = "VGID_TLS_CERT"
	EnvTLSKey         = "VGID_TLS_KEY"
	EnvListenFD       = "VGID_LISTEN_FD"
	EnvNoticeFD       = "VGID_NOTICE_FD"
	EnvRecords        = "VGID_RECORDS"
)

// EnvSecret is the variable by which vgid-launch, not a worker, may be given
// the secret that the agents of a job share.
const EnvSecret = "VGID_SECRET"

// ExitPeerFailed is the exit code of a worker that was healthy itself and
// ended because a collective failed at a peer (EX_TEMPFAIL of sysexits.h).
const ExitPeerFailed = 75

// Worker is the place of this process in the job.
type Worker struct {
	Rank           int
	WorldSize      int
	LocalRank      int // among the workers of this node
	LocalWorldSize int
	NodeRank       int
	Node           string // name of the node, for people; may be empty
	Epoch          uint64 // of the view; 0 without a launcher
	Job            string
	Token          string       // shared secret of this launch; not for logs
	TLS            TLS          // what the worker proves itself with; not for logs
	Peers          []string     // host:port by rank; nil without a launcher
	Listener       net.Listener // listens on Peers[Rank]; nil without a launcher. The caller closes it.
	// Records is the folder, which may not be there yet, for a record of the worker's
	// last calls when its communication fails; empty without a launcher.
	Records string
	notices *os.File
}

// TLS is what a worker has from its launcher for mutual TLS with the others: PEM texts, or
// names of files that hold them. Environments are open to processes of the same user alone,
// as files of theirs are, and unlike command lines.
type TLS struct{ CA, Cert, Key string }

// Given reports whether there is any.
func (t TLS) Given() bool { return t != TLS{} }

// MachineRank is the place of this worker among those of its machine, which
// may run several nodes: the number of lower ranks at the same address. It says
// which of the machine's devices and ports are this worker's.
func (w Worker) MachineRank() int {
	if len(w.Peers) <= w.Rank {
		return w.LocalRank
	}
	return w.atMyAddress(w.Peers[:w.Rank])
}

// MachineWorkers is how many workers its machine runs, of all nodes.
func (w Worker) MachineWorkers() int {
	if len(w.Peers) <= w.Rank {
		return w.LocalWorldSize
	}
	return w.atMyAddress(w.Peers)
}

// Machines numbers the machines of all workers, by rank: those at one address have equal
// numbers. nil without a launcher.
func (w Worker) Machines() []int {
	numbers := map[string]int{}
	var out []int
	for _, p := range w.Peers {
		host, _, _ := net.SplitHostPort(p)
		n, known := numbers[host]
		if !known {
			n = len(numbers)
			numbers[host] = n
		}
		out = append(out, n)
	}
	return out
}

func (w Worker) atMyAddress(peers []string) (n int) {
	mine, _, _ := net.SplitHostPort(w.Peers[w.Rank])
	for _, p := range peers {
		if host, _, _ := net.SplitHostPort(p); host == mine {
			n++
		}
	}
	return n
}

// FromEnv reads the place of this process from the environment. Without a
// launcher it is rank 0 of 1; as one of several that another launcher started,
// which would all take themselves for the only one, it is refused
// with an *OuterError. Call it
// once: it takes the inherited socket over. An error names the variable at
// fault.
func FromEnv() (Worker, error) {
	w, fd, err := parseEnv(os.LookupEnv)
	if err != nil || fd < 0 {
		return w, err
	}
	if s, ok := os.LookupEnv(EnvNoticeFD); ok {
		n, err := strconv.Atoi(s)
		if err != nil || n < 3 {
			return Worker{}, fmt.Errorf("%s=%q is not a file descriptor; start workers by vgid-launch only", EnvNoticeFD, s)
		}
		if w.notices, err = noticePipe(n); err != nil {
			return Worker{}, err
		}
	}
	// Not for the children this worker may start.
	syscall.CloseOnExec(fd)
	f := os.NewFile(uintptr(fd), "worker socket")
	ln, err := net.FileListener(f)
	f.Close()
	if err != nil {
		return Worker{}, fmt.Errorf("%s=%d is not a listening socket: %w; start workers by vgid-launch only", EnvListenFD, fd, err)
	}
	w.Listener = ln
	return w, nil
}

// parseEnv checks everything that can be checked without touching the socket,
// whose descriptor it returns (-1 without a launcher).
func parseEnv(lookup func(string) (string, bool)) (Worker, int, error) {
	e := env{lookup: lookup}
	if !e.has(EnvRank) && !e.has(EnvWorldSize) {
		for _, name := range []string{EnvLocalRank, EnvLocalWorldSize, EnvNodeRank, EnvEpoch, EnvPeers, EnvListenFD} {
			if e.has(name) {
				return Worker{}, -1, fmt.Errorf("%s is set but %s is not; start workers by vgid-launch, or unset %s to run alone", name, EnvRank, name)
			}
		}
		o, err := FindOuter(lookup)
		if err == nil && o.Found() {
			err = &OuterError{o}
		}
		return Worker{WorldSize: 1, LocalWorldSize: 1}, -1, err
	}
	w := Worker{
		WorldSize: e.number(EnvWorldSize, 1),
		Rank:      e.number(EnvRank, 0),
	}
	w.LocalWorldSize = e.number(EnvLocalWorldSize, 1)
	w.LocalRank = e.number(EnvLocalRank, 0)
	w.NodeRank = e.number(EnvNodeRank, 0)
	e.below(EnvRank, w.Rank, EnvWorldSize, w.WorldSize)
	e.below(EnvLocalRank, w.LocalRank, EnvLocalWorldSize, w.LocalWorldSize)
	e.below(EnvNodeRank, w.NodeRank, EnvWorldSize, w.WorldSize)
	if e.err == nil && w.LocalWorldSize > w.WorldSize {
		e.fail("%s=%d is more than %s=%d", EnvLocalWorldSize, w.LocalWorldSize, EnvWorldSize, w.WorldSize)
	}
	w.Node, _ = lookup(EnvNode)
	w.Records, _ = lookup(EnvRecords)
	if s := e.text(EnvEpoch); e.err == nil {
		var err error
		if w.Epoch, err = strconv.ParseUint(s, 10, 64); err != nil || w.Epoch == 0 {
			e.fail("%s=%q is not a positive number", EnvEpoch, s)
		}
	}
	w.Job = e.text(EnvJob)
	w.Token = e.text(EnvToken)
	if s := e.text(EnvPeers); e.err == nil {
		w.Peers = strings.Split(s, ",")
		if len(w.Peers) != w.WorldSize {
			e.fail("%s has %d addresses, %s=%d", EnvPeers, len(w.Peers), EnvWorldSize, w.WorldSize)
		}
		for i, p := range w.Peers {
			if host, port, err := net.SplitHostPort(p); err != nil || host == "" || !isPort(port) {
				e.fail("%s: address %q of rank %d is not host:port", EnvPeers, p, i)
			}
		}
	}
	w.TLS = e.tls()
	fd := e.number(EnvListenFD, 3)
	if e.err != nil {
		return Worker{}, -1, fmt.Errorf("%w; start workers by vgid-launch only", e.err)
	}
	return w, fd, nil
}

const maxWorld = 1 << 20

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// env reads variables and keeps the first error.
type env struct {
	lookup func(string) (string, bool)
	err    error
}

func (e *env) fail(format string, a ...any) {
	if e.err == nil {
		e.err = fmt.Errorf(format, a...)
	}
}

func (e *env) has(name string) bool {
	_, ok := e.lookup(name)
	return ok
}

// other is the variable of rank and world size that name is not.
func other(name string) string {
	if name == EnvRank {
		return EnvWorldSize
	}
	return EnvRank
}

func (e *env) text(name string) string {
	s, ok := e.lookup(name)
	if !ok {
		e.fail("%s is not set, though %s is: a launcher sets both, a process alone has neither", name, other(name))
	} else if s == "" {
		e.fail("%s is empty", name)
	}
	return s
}

// tls reads three variables that are set together or not at all.
func (e *env) tls() (t TLS) {
	first := ""
	for _, v := range []struct {
		name string
		to   *string
	}{{EnvTLSCA, &t.CA}, {EnvTLSCert, &t.Cert}, {EnvTLSKey, &t.Key}} {
		if *v.to, _ = e.lookup(v.name); *v.to != "" {
			first = v.name
		}
	}
	if t.Given() && (t.CA == "" || t.Cert == "" || t.Key == "") {
		e.fail("%s is set, but not all of %s, %s and %s: set all of them or none", first, EnvTLSCA, EnvTLSCert, EnvTLSKey)
	}
	return t
}

func (e *env) number(name string, lo int) int {
	s := e.text(name)
	if e.err != nil {
		return 0
	}
	n, err := strconv.Atoi(s)
	switch {
	case errors.Is(err, strconv.ErrSyntax):
		e.fail("%s=%q is not a number", name, s)
	case err != nil || n < lo || n > maxWorld:
		e.fail("%s=%s is outside %d..%d", name, s, lo, maxWorld)
	}
	return n
}

func (e *env) below(name string, v int, limit string, lim int) {
	if e.err == nil && v >= lim {
		e.fail("%s=%d is not below %s=%d", name, v, limit, lim)
	}
}
