// Package remedy says to the user of either program how a job is started below
// another launcher.
package remedy

import (
	"errors"
	"fmt"

	"vgid/launch"
)

var instead = map[launch.Launcher]string{
	launch.Torchrun:   "put vgid-launch --nproc-per-node N -- vgid … in its place",
	launch.Kubeflow:   "run vgid-launch … -- vgid … on every node",
	launch.OpenMPI:    "one vgid-launch per node: mpirun --map-by ppr:1:node --bind-to none vgid-launch … -- vgid …",
	launch.MPICH:      "one vgid-launch per node: mpiexec -ppn 1 vgid-launch … -- vgid …",
	launch.Slurm:      "one vgid-launch per node: srun --ntasks-per-node=1 vgid-launch … -- vgid …",
	launch.Kubernetes: "run vgid-launch --nodes N --join FIRST_POD:7946 … -- vgid … in every pod",
}

// Instead is how to start the job where a launcher started processes that do
// not know of each other.
func Instead(l launch.Launcher) string { return instead[l] }

// Alone is how to say that they are jobs of their own.
func Alone() string {
	return fmt.Sprintf("or set %s=1 if each is to be a job of its own", launch.EnvAlone)
}

// Worker gives the error of launch.FromEnv with what to do about it.
func Worker(err error) error {
	var outer *launch.OuterError
	if errors.As(err, &outer) {
		return fmt.Errorf("%w; %s; %s", err, Instead(outer.Outer.Launcher), Alone())
	}
	return err
}
