package cpu

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math"
	"os"
	"path"
	"strconv"
	"strings"
)

// FreeBytes implements backend.MemoryReporter: what the kernel says is
// available without swapping, or less where a control group allows less.
func (b *Backend) FreeBytes() (int64, error) { return freeBytes(os.DirFS("/")) }

// TotalBytes is the memory of the machine, or less where a control group of
// this process has less.
func TotalBytes() (int64, error) { return totalBytes(os.DirFS("/")) }

func totalBytes(root fs.FS) (int64, error) {
	f, err := root.Open("proc/meminfo")
	if err != nil {
		return 0, fmt.Errorf("cpu: how much memory there is is not known here: %w", err)
	}
	defer f.Close()
	total, err := meminfo(f, "MemTotal")
	if err != nil {
		return 0, fmt.Errorf("cpu: /proc/meminfo: %w", err)
	}
	for dir := range groupsAround(root) {
		if limit, ok := number(root, dir+"/memory.max"); ok {
			total = min(total, limit)
		}
	}
	return total, nil
}

// freeBytes reads /proc/meminfo and the control group's limits below root.
func freeBytes(root fs.FS) (int64, error) {
	f, err := root.Open("proc/meminfo")
	if err != nil {
		return 0, fmt.Errorf("cpu: how much memory is free is not known here: %w", err)
	}
	defer f.Close()
	free, err := meminfo(f, "MemAvailable")
	if err != nil {
		return 0, fmt.Errorf("cpu: /proc/meminfo: %w", err)
	}
	return min(free, groupLeft(root)), nil
}

// meminfo is a field of a meminfo file, in bytes.
func meminfo(r io.Reader, field string) (int64, error) {
	s := bufio.NewScanner(r)
	for s.Scan() {
		rest, ok := strings.CutPrefix(s.Text(), field+":")
		if !ok {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", field, err)
		}
		return kib << 10, nil
	}
	if err := s.Err(); err != nil {
		return 0, err
	}
	return 0, fmt.Errorf("no %s", field)
}

// groupLeft is what the control groups that hold this process (version 2) leave
// it, those around them included. Pages of files, also those of mapped weights
// that are in use, and caches of the kernel count as used there but are given
// back under pressure. Without a limit it is the largest number.
func groupLeft(root fs.FS) int64 {
	left := int64(math.MaxInt64)
	for dir := range groupsAround(root) {
		limit, ok1 := number(root, dir+"/memory.max")
		used, ok2 := number(root, dir+"/memory.current")
		if ok1 && ok2 {
			left = min(left, max(0, limit-used+reclaimable(root, dir)))
		}
	}
	return left
}

// groupsAround yields the folders of the control groups (version 2) that hold
// this process, from the inmost on.
func groupsAround(root fs.FS) iter.Seq[string] {
	return func(yield func(string) bool) {
		own, err := fs.ReadFile(root, "proc/self/cgroup")
		if err != nil {
			return
		}
		_, group, ok := strings.Cut(strings.TrimSpace(string(own)), "0::/")
		if !ok {
			return
		}
		for dir := path.Join("sys/fs/cgroup", group); strings.HasPrefix(dir, "sys/fs/cgroup") && yield(dir); dir = path.Dir(dir) {
		}
	}
}

func number(root fs.FS, name string) (int64, bool) {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	return n, err == nil // "max" is no limit
}

// reclaimable is what a group counts as used and the kernel can take back, as in
// MemAvailable.
func reclaimable(root fs.FS, dir string) (sum int64) {
	b, err := fs.ReadFile(root, dir+"/memory.stat")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		switch name, rest, _ := strings.Cut(strings.TrimSpace(line), " "); name {
		case "inactive_file", "active_file", "slab_reclaimable":
			n, _ := strconv.ParseInt(rest, 10, 64)
			sum += n
		}
	}
	return sum
}
