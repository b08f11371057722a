package stepbench

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"vgid/model/backend"
	"vgid/model/cpu"
	"vgid/model/dry"
	"vgid/model/hf/modeldir"
	"vgid/model/kit/measure"
	"vgid/model/kit/measure/bench"
	"vgid/model/plan"
)

// MemoryOptions say which step's memory is measured.
type MemoryOptions struct {
	Dir     string // of the model
	Step    string // as plan names it
	Threads int
	Work    plan.Options // Device is the CPU's whatever is said
}

// MemoryRow is what a step on the CPU was estimated to take and what it took.
// What is compared is Resident, the process as it was with what the step was estimated to add,
// and Peak, which the kernel saw.
type MemoryRow struct {
	Step       string    `json:"step"`
	Device     string    `json:"device"`
	Batch      int       `json:"batch"`
	Tokens     int       `json:"tokens"` // of a sequence
	Parameters int       `json:"trained_parameters"`
	Estimated  plan.Need `json:"estimated"`
	Seconds    float64   `json:"seconds"` // loading and the step
	Free       int64     `json:"free_before"`
	Before     int64     `json:"resident_before"`    // VmRSS of the process before the model was opened
	Resident   int64     `json:"resident_estimated"` // with Before
	Peak       int64     `json:"resident_peak"`      // VmHWM
	PeakOwn    int64     `json:"own_peak"`           // of RssAnon, seen ten times a second
	PeakFiles  int64     `json:"files_peak"`         // of RssFile
}

// RunMemory estimates a step, takes it once on the CPU, and compares. The
// process should have done nothing else before: the kernel tells its peak.
// A step that is not known, and one for which less is free than it writes, is an error
// before anything is loaded.
func RunMemory(ctx context.Context, o MemoryOptions) (MemoryRow, error) {
	be := cpu.New(o.Threads)
	defer be.Close()
	dir := modeldir.Open(o.Dir)
	defer dir.Close()
	o.Work.Device = dry.Like(be)
	row := MemoryRow{Step: o.Step, Device: be.Name(), Batch: o.Work.Batch, Tokens: o.Work.Tokens}
	needs, err := plan.Estimate(ctx, dir, o.Work, o.Step)
	if err != nil {
		return row, err
	}
	if len(needs) == 0 {
		return row, fmt.Errorf("step %q is none of %s", o.Step, strings.Join(plan.Names(), "; "))
	}
	row.Estimated, row.Parameters = needs[0], needs[0].Parameters
	if row.Free, err = be.FreeBytes(); err != nil {
		return row, err
	}
	// Refused and not tried: for want of memory the kernel may end other programs.
	// Written and not Total: pages that are allocated and never touched take no memory.
	if n := row.Estimated.Written; n > row.Free {
		return row, fmt.Errorf("%s: %s takes %v besides the mapped weights and %v are free", o.Dir, o.Step, backend.Bytes(n), backend.Bytes(row.Free))
	}
	before, err := measure.Memory()
	if err != nil {
		return row, err
	}
	row.Before = before["VmRSS"]
	row.Resident = row.Before + row.Estimated.Mapped + row.Estimated.Written
	stop := watch(func(s map[string]int64) {
		row.PeakOwn, row.PeakFiles = max(row.PeakOwn, s["RssAnon"]), max(row.PeakFiles, s["RssFile"])
	})
	begin := time.Now()
	// Loading is part of it: the estimate counts from an unopened folder, too.
	err = plan.Do(ctx, be, dir, o.Work, o.Step)
	row.Seconds = time.Since(begin).Seconds()
	stop()
	if err != nil {
		return row, err
	}
	// The highest ever, which is why nothing may have gone before.
	after, err := measure.Memory()
	row.Peak = after["VmHWM"]
	return row, err
}

// watch looks at this process ten times a second until the returned function
// has returned.
// The kernel keeps a peak of all resident pages only; what of it was the process's own has to be
// seen while it lasts.
// see is called by one goroutine at a time, and not after stop has returned, so that what
// it writes may be read then without a lock.
func watch(see func(map[string]int64)) (stop func()) {
	end := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			if s, err := measure.Memory(); err == nil {
				see(s)
			}
			select {
			case <-end:
				return
			case <-tick.C:
			}
		}
	})
	return func() {
		close(end)
		wait.Wait()
	}
}

// Table prints the row for people.
func (r MemoryRow) Table(to io.Writer) error {
	gib := func(n int64) string { return fmt.Sprintf("%.3f GiB", float64(n)/(1<<30)) }
	var t bench.Table
	t.Titlef("%s on %s: %d × %d tokens with an image each, %d trained parameters; %.1f s with loading; %s were free\n",
		r.Step, r.Device, r.Batch, r.Tokens, r.Parameters, r.Seconds, gib(r.Free))
	t.Rowf("\testimated\tmeasured")
	t.Rowf("process before the step\t–\t%s", gib(r.Before))
	t.Rowf("weights mapped from their files\t%s\t%s", gib(r.Estimated.Mapped), gib(r.PeakFiles))
	t.Rowf("allocated\t%s\t–", gib(r.Estimated.Total))
	t.Rowf("  of it written to\t%s\t%s", gib(r.Estimated.Written), gib(r.PeakOwn))
	t.Rowf("resident at the peak\t%s\t%s", gib(r.Resident), gib(r.Peak))
	return t.Write(to)
}
