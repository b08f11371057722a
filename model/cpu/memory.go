package cpu

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strconv"
	"strings"
)

// FreeBytes implements backend.MemoryReporter: FreeMemory.
func (b *Device) FreeBytes() (int64, error) { return FreeMemory() }

// FreeMemory is what the kernel says is available without swapping, or less where
// a control group allows this process less.
func FreeMemory() (int64, error) { return freeBytes(os.DirFS("/")) }

// TotalBytes is the memory of the machine, or less where a control group of
// this process has less.
func TotalBytes() (int64, error) { return totalBytes(os.DirFS("/")) }

// totalBytes takes the root as a file system so that tests can show it machines of other kinds.
func totalBytes(root fs.FS) (int64, error) {
	total, err := meminfo(root, "MemTotal", "there is")
	if err != nil {
		return 0, err
	}
	for g := range groupsAround(root) {
		if limit, ok := g.bound(root); ok {
			total = min(total, limit)
		}
	}
	return total, nil
}

// freeBytes reads /proc/meminfo and the control group's limits below root.
func freeBytes(root fs.FS) (int64, error) {
	free, err := meminfo(root, "MemAvailable", "is free")
	if err != nil {
		return 0, err
	}
	return min(free, groupLeft(root)), nil
}

// meminfo is a field of the system's own account, in bytes; what it counts is for errors.
func meminfo(root fs.FS, field, what string) (int64, error) {
	f, err := root.Open("proc/meminfo")
	if err != nil {
		return 0, fmt.Errorf("cpu: how much memory %s is not known here: %w", what, err)
	}
	defer f.Close()
	n, err := kibibytes(f, field)
	if err != nil {
		return 0, fmt.Errorf("cpu: /proc/meminfo: %w", err)
	}
	return n, nil
}

// kibibytes is a field of a meminfo file, in bytes although it is written in KiB.
func kibibytes(r io.Reader, field string) (int64, error) {
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

// groupLeft is what the control groups that hold this process leave it, those
// around them included. Without a limit it is the largest number.
func groupLeft(root fs.FS) int64 {
	left := int64(math.MaxInt64)
	for g := range groupsAround(root) {
		if n, ok := g.left(root); ok {
			left = min(left, n)
		}
	}
	return left
}
