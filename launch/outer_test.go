package launch

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The environments are those that the launchers set: torch 2.9.1, Slurm
// 22.05.8, Open MPI 4.1.4, MPICH 4.0.2, Kubernetes 1.37, Kubeflow Trainer 2.
func TestFindOuter(t *testing.T) {
	slurm := map[string]string{"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_STEPID": "0", "SLURM_PROCID": "3", "SLURM_LOCALID": "0", "SLURM_NODEID": "1", "SLURM_NTASKS": "4",
		"SLURM_STEP_NUM_TASKS": "4", "SLURM_NNODES": "2", "SLURM_JOB_NUM_NODES": "3", "SLURM_STEP_NUM_NODES": "2", "SLURM_TASKS_PER_NODE": "3,1", "SLURM_STEP_TASKS_PER_NODE": "3,1",
		"SLURM_STEP_NODELIST": "n[1-2]", "SLURM_NODELIST": "n[1-3]"}
	torchrun := map[string]string{"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0", "GROUP_WORLD_SIZE": "1", "ROLE_RANK": "1",
		"MASTER_ADDR": "localhost", "MASTER_PORT": "41235", "TORCHELASTIC_RUN_ID": "x", "OMP_NUM_THREADS": "1"}
	openMPI := map[string]string{"OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_LOCAL_RANK": "0", "OMPI_COMM_WORLD_LOCAL_SIZE": "2", "OMPI_COMM_WORLD_NODE_RANK": "0", "PMIX_RANK": "2"}
	mpich := map[string]string{"PMI_RANK": "1", "PMI_SIZE": "2", "PMI_FD": "7", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "2"}
	kubeflow := map[string]string{"JOB_COMPLETION_INDEX": "1", "PET_NNODES": "2", "PET_NPROC_PER_NODE": "auto", "PET_NODE_RANK": "1", "PET_MASTER_ADDR": "j-node-0-0.j", "PET_MASTER_PORT": "29500"}

	with := func(env map[string]string, over ...string) map[string]string {
		env = maps.Clone(env)
		for i := 0; i < len(over); i += 2 {
			env[over[i]] = over[i+1]
		}
		return env
	}
	without := func(env map[string]string, names ...string) map[string]string {
		env = maps.Clone(env)
		for _, n := range names {
			delete(env, n)
		}
		return env
	}
	both := func(a, b map[string]string) map[string]string {
		a = maps.Clone(a)
		maps.Copy(a, b)
		return a
	}
	for name, c := range map[string]struct {
		env               map[string]string
		launcher          string
		rank, size, local int
	}{
		"nobody":                   {nil, "", 0, 0, 0},
		"torchrun":                 {torchrun, "torchrun", 1, 2, 2},
		"torchrun, one process":    {with(torchrun, "RANK", "0", "WORLD_SIZE", "1"), "", 0, 0, 0},
		"a size without a rank":    {map[string]string{"WORLD_SIZE": "8"}, "", 0, 0, 0},
		"a rank of something else": {map[string]string{"RANK": "colonel"}, "", 0, 0, 0},
		"Kubeflow":                 {kubeflow, "a launcher for torchrun", 1, 2, 1},
		"Kubeflow, elastic":        {with(kubeflow, "PET_NNODES", "1:4"), "a launcher for torchrun", 1, 4, 1},
		"Kubeflow, one node":       {with(kubeflow, "PET_NNODES", "1", "PET_NODE_RANK", "0"), "", 0, 0, 0},
		"torchrun below Kubeflow":  {both(kubeflow, torchrun), "torchrun", 1, 2, 2},
		"mpirun":                   {openMPI, "mpirun of Open MPI", 2, 4, 2},
		"mpirun -n 1":              {with(openMPI, "OMPI_COMM_WORLD_RANK", "0", "OMPI_COMM_WORLD_SIZE", "1"), "", 0, 0, 0},
		"mpirun in a Slurm job":    {both(with(slurm, "SLURM_PROCID", "1", "SLURM_NTASKS", "2"), openMPI), "mpirun of Open MPI", 2, 4, 2},
		"mpiexec":                  {mpich, "mpiexec", 1, 2, 2},
		"mpiexec in a Slurm job":   {both(slurm, mpich), "mpiexec", 1, 2, 2},
		"srun":                     {slurm, "srun", 3, 4, 1},
		"srun for MPI programs":    {with(slurm, "PMI_RANK", "3", "PMI_SIZE", "4"), "srun", 3, 4, 1},
		"srun, first node":         {with(slurm, "SLURM_PROCID", "0", "SLURM_NODEID", "0"), "srun", 0, 4, 3},
		"srun, two on each":        {with(slurm, "SLURM_STEP_TASKS_PER_NODE", "2(x2)"), "srun", 3, 4, 2},
		"srun, nothing of steps":   {without(slurm, "SLURM_STEP_NUM_TASKS", "SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE"), "srun", 3, 4, 0},
		"srun --pty":               {with(slurm, "SLURM_PROCID", "0", "SLURM_NTASKS", "1", "SLURM_STEP_NUM_TASKS", "1"), "", 0, 0, 0},
		"a batch script":           {without(with(slurm, "SLURM_PROCID", "0", "SLURM_NTASKS", "6"), "SLURM_STEP_ID", "SLURM_STEPID", "SLURM_STEP_NUM_TASKS"), "", 0, 0, 0},
		"salloc's own step":        {with(slurm, "SLURM_STEP_ID", "4294967290", "SLURM_STEPID", "4294967290", "SLURM_PROCID", "0"), "", 0, 0, 0},
		"an Indexed Job":           {map[string]string{"JOB_COMPLETION_INDEX": "2"}, "a Kubernetes Indexed Job", 2, 0, 1},
		"its first pod":            {map[string]string{"JOB_COMPLETION_INDEX": "0"}, "a Kubernetes Indexed Job", 0, 0, 1},
		"alone on purpose":         {with(slurm, EnvAlone, "1"), "", 0, 0, 0},
		"not alone on purpose":     {with(slurm, EnvAlone, "0"), "srun", 3, 4, 1},
	} {
		o, err := FindOuter(look(c.env))
		if err != nil || !strings.HasPrefix(string(o.Launcher), c.launcher) || o.Found() != (c.launcher != "") || o.Rank != c.rank || o.Size != c.size || o.Local != c.local {
			t.Errorf("%s: %+v, %v", name, o, err)
		}
		_, _, err = parseEnv(look(c.env))
		if refused := err != nil; refused != o.Found() {
			t.Errorf("%s: a worker gets %v", name, err)
		}
		var outer *OuterError
		if o.Found() && (!errors.As(err, &outer) || outer.Outer.Launcher != o.Launcher || !strings.Contains(err.Error(), o.Vars[0])) {
			t.Errorf("%s: %v does not say what was seen", name, err)
		}
	}
	// vgid-launch's own workers keep all of that around them.
	if w, fd, err := parseEnv(look(both(both(slurm, openMPI), good()))); err != nil || fd != 3 || w.WorldSize != 2 {
		t.Errorf("a worker below srun and vgid-launch: %+v, %v", w, err)
	}
	for _, env := range []map[string]string{with(torchrun, "RANK", "one"), with(slurm, "SLURM_STEP_NUM_TASKS", "-1"), with(slurm, EnvAlone, "yes"), {"JOB_COMPLETION_INDEX": "x"}} {
		if o, err := FindOuter(look(env)); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: %+v", env, o)
		}
	}
}

func TestTasksPerNode(t *testing.T) {
	for s, want := range map[string][]int{"1": {1}, "3,1": {3, 1}, "2(x3),1": {2, 2, 2, 1}, "": nil, "2(x": nil, "(x2)": nil, "a": nil, "1(x0)": nil, "1(x99999999)": nil} {
		if got := tasksPerNode(s); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", s, got, want)
		}
	}
}

// Whatever the environment holds, the answer is a place or one line.
func TestFindOuterAnything(t *testing.T) {
	names := []string{"RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "PET_NODE_RANK", "PET_NNODES", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "PMI_RANK", "PMI_SIZE",
		"SLURM_PROCID", "SLURM_NTASKS", "SLURM_STEP_ID", "SLURM_NODEID", "SLURM_TASKS_PER_NODE", "JOB_COMPLETION_INDEX", EnvAlone}
	rapid.Check(t, func(t *rapid.T) {
		env := rapid.MapOf(rapid.SampledFrom(names), rapid.OneOf(rapid.String(), rapid.StringMatching(`-?[0-9]{0,12}`), rapid.SampledFrom([]string{"1", "0", "2(x3)", "1:4"}))).Draw(t, "env")
		o, err := FindOuter(look(env))
		if err == nil && o.Found() && (o.Rank < 0 || o.Size < 0 || o.Size == 1 || o.Local < 0 || len(o.Vars) == 0) {
			t.Fatalf("%+v", o)
		}
	})
}
