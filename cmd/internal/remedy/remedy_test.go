package remedy

import (
	"errors"
	"strings"
	"testing"

	"vgid/launch"
)

func TestWorker(t *testing.T) {
	for _, l := range []launch.Launcher{launch.Torchrun, launch.Kubeflow, launch.OpenMPI, launch.MPICH, launch.Slurm, launch.Kubernetes} {
		err := Worker(&launch.OuterError{Outer: launch.Outer{Launcher: l, Rank: 1, Size: 2, Vars: []string{"A=1"}}})
		if s := err.Error(); !strings.HasPrefix(s, string(l)+" started this as process 1 of 2 (A=1), which does not know the others; ") || !strings.Contains(s, "vgid-launch") ||
			!strings.HasSuffix(s, "; or set VGID_ALONE=1 if each is to be a job of its own") || strings.Contains(s, "; ;") {
			t.Errorf("%s: %v does not say what was seen and what to do", l, err)
		}
	}
	if err := errors.New("x"); Worker(err) != err { //nolint:errorlint // the same, unwrapped
		t.Error("another error is changed")
	}
	if Worker(nil) != nil {
		t.Error("no error is one")
	}
}
