package launch

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// EnvAlone says, set to 1, that a process started by another launcher as one
// of many is a job of its own: a sweep, say.
const EnvAlone = "VGID_ALONE"

// Launcher is a launcher other than vgid-launch, by its name for people.
type Launcher string

// The launchers that are known.
const (
	Torchrun   Launcher = "torchrun (or one like it)"
	Kubeflow   Launcher = "a launcher for torchrun"
	OpenMPI    Launcher = "mpirun of Open MPI"
	MPICH      Launcher = "mpiexec"
	Slurm      Launcher = "srun"
	Kubernetes Launcher = "a Kubernetes Indexed Job"
)

// Outer is the place that a launcher other than vgid-launch gives a process.
type Outer struct {
	Launcher Launcher // empty: none, or this process is a job of its own
	Rank     int      // among the Size processes
	Size     int      // > 1; 0 where only the rank is known
	Local    int      // processes of this node; 0: not known
	Master   string   // host that the launcher names for processes to meet; may be empty
	Vars     []string // what this was read from, as NAME=value
}

// Found reports whether there is such a launcher.
func (o Outer) Found() bool { return o.Launcher != "" }

func (o Outer) String() string {
	of := ""
	if o.Size > 0 {
		of = fmt.Sprintf(" of %d", o.Size)
	}
	return fmt.Sprintf("%s started this as process %d%s (%s)", o.Launcher, o.Rank, of, strings.Join(o.Vars, ", "))
}

// OuterError says that another launcher started this worker, which would take
// itself for the only one.
type OuterError struct{ Outer Outer }

func (e *OuterError) Error() string {
	return fmt.Sprintf("%v, which does not know the others", e.Outer)
}

// outerLauncher knows one launcher by its variables.
type outerLauncher struct {
	name   Launcher
	rank   string
	size   []string // the first that is set; empty: it does not tell
	local  func(e *outerEnv) int
	master string                 // may be empty
	here   func(e *outerEnv) bool // whether the variables mean what they say; may be nil
}

// outerLaunchers are in the order in which one may have started the other: the
// innermost knows best. An mpirun inside of a Slurm job leaves the variables
// of its own daemons to the processes, so MPI's come before Slurm's.
var outerLaunchers = []outerLauncher{
	{name: Torchrun, rank: "RANK", size: []string{"WORLD_SIZE"}, local: variable("LOCAL_WORLD_SIZE"), master: "MASTER_ADDR"},
	{name: Kubeflow, rank: "PET_NODE_RANK", size: []string{"PET_NNODES"}, local: one, master: "PET_MASTER_ADDR"},
	{name: OpenMPI, rank: "OMPI_COMM_WORLD_RANK", size: []string{"OMPI_COMM_WORLD_SIZE"}, local: variable("OMPI_COMM_WORLD_LOCAL_SIZE")},
	{name: MPICH, rank: "PMI_RANK", size: []string{"PMI_SIZE"}, local: variable("MPI_LOCALNRANKS"), here: (*outerEnv).notOfSlurm},
	{name: Slurm, rank: "SLURM_PROCID", size: []string{"SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"}, local: (*outerEnv).tasksHere, here: (*outerEnv).inStep},
	{name: Kubernetes, rank: "JOB_COMPLETION_INDEX", local: one},
}

// FindOuter reads which other launcher started this process as one of several.
// It returns the zero Outer where there is none, where it started one process
// only, and where EnvAlone is set. An error names a variable that cannot be
// read.
func FindOuter(lookup func(string) (string, bool)) (Outer, error) {
	e := &outerEnv{lookup: lookup}
	if s, ok := lookup(EnvAlone); ok {
		switch s {
		case "1":
			return Outer{}, nil
		case "", "0":
		default:
			return Outer{}, fmt.Errorf("%s=%q: set it to 1 for a job of its own, or unset it", EnvAlone, s)
		}
	}
	for _, l := range outerLaunchers {
		size := slices.IndexFunc(l.size, e.has)
		if !e.has(l.rank) || size < 0 && len(l.size) > 0 || l.here != nil && !l.here(e) {
			continue
		}
		o := Outer{Launcher: l.name, Rank: e.number(l.rank)}
		if size >= 0 {
			o.Size = e.number(l.size[size])
		}
		o.Local = l.local(e)
		if e.err != nil {
			return Outer{}, fmt.Errorf("%w, though %s seems to have set it; %s=1 runs a job of its own", e.err, l.name, EnvAlone)
		}
		if o.Size == 1 {
			return Outer{}, nil // the innermost launcher knows best
		}
		if l.master != "" {
			o.Master, _ = lookup(l.master)
		}
		o.Vars = e.read
		return o, nil
	}
	return Outer{}, nil
}

// variable reads how many processes this node has, 0 if that is not told.
func variable(name string) func(*outerEnv) int {
	return func(e *outerEnv) int {
		if !e.has(name) {
			return 0
		}
		return e.number(name)
	}
}

func one(*outerEnv) int { return 1 }

// outerEnv reads variables, and keeps which they were and the first error.
type outerEnv struct {
	lookup func(string) (string, bool)
	read   []string
	err    error
}

func (e *outerEnv) has(name string) bool {
	s, ok := e.lookup(name)
	return ok && s != ""
}

// number reads a count; of a range as in PET_NNODES=1:4 the upper end.
func (e *outerEnv) number(name string) int {
	s, _ := e.lookup(name)
	e.read = append(e.read, name+"="+s)
	digits := s
	if _, upper, ok := strings.Cut(s, ":"); ok {
		digits = upper
	}
	n, err := strconv.Atoi(digits)
	if (err != nil || n < 0 || n > maxWorld) && e.err == nil {
		e.err = fmt.Errorf("%s=%q is not a number of processes", name, s)
	}
	return n
}

// inStep reports whether srun started this process. A batch script has most of
// the variables of its first task, too, but belongs to no step, or to one of
// the numbers that Slurm keeps for itself.
func (e *outerEnv) inStep() bool {
	const ownNumbers = 0xfffffff0
	for _, name := range []string{"SLURM_STEP_ID", "SLURM_STEPID"} {
		if s, ok := e.lookup(name); ok && s != "" {
			n, err := strconv.ParseUint(s, 10, 64)
			return err != nil || n < ownNumbers
		}
	}
	return false
}

// notOfSlurm tells the PMI variables of MPICH's mpiexec from those that srun
// sets for programs of MPI.
func (e *outerEnv) notOfSlurm() bool { return e.has("MPI_LOCALRANKID") || !e.inStep() }

// tasksHere is how many tasks of the step this node has, 0 if not known.
func (e *outerEnv) tasksHere() int {
	node, _ := e.lookup("SLURM_NODEID")
	n, err := strconv.Atoi(node)
	if err != nil {
		return 0
	}
	for _, name := range []string{"SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE"} {
		if s, ok := e.lookup(name); ok {
			if counts := tasksPerNode(s); n >= 0 && n < len(counts) {
				e.read = append(e.read, name+"="+s)
				return counts[n]
			}
		}
	}
	return 0
}

// tasksPerNode expands Slurm's "3,1" and "2(x3),1"; nil if it is neither.
func tasksPerNode(s string) []int {
	var all []int
	for part := range strings.SplitSeq(s, ",") {
		count, times, repeated := strings.Cut(part, "(x")
		n, err := strconv.Atoi(count)
		k := 1
		if repeated && err == nil {
			k, err = strconv.Atoi(strings.TrimSuffix(times, ")"))
		}
		if err != nil || n < 0 || k < 1 || k > maxWorld || len(all)+k > maxWorld {
			return nil
		}
		all = append(all, slices.Repeat([]int{n}, k)...)
	}
	return all
}
