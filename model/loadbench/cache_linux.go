package loadbench

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// drop takes files out of the page cache, which needs no rights, and tells which
// part stayed: what is mapped elsewhere does.
func drop(paths []string) (stayed float64, err error) {
	pages, cached := 0, 0
	for _, p := range paths {
		n, c, err := dropFile(p)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", p, err)
		}
		pages, cached = pages+n, cached+c
	}
	return float64(cached) / float64(max(1, pages)), nil
}

// fadvise is a wish: mincore tells which pages stayed all the same.
// It gives the file's pages and how many of them are cached afterwards.
func dropFile(path string) (pages, cached int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	// What is not on the disk yet cannot be dropped.
	if err := errors.Join(f.Sync(), unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)); err != nil {
		return 0, 0, err
	}
	st, err := f.Stat()
	if err != nil || st.Size() == 0 {
		return 0, 0, err
	}
	m, err := syscall.Mmap(int(f.Fd()), 0, int(st.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = syscall.Munmap(m) }() // it fails on addresses that are no mapping
	size := os.Getpagesize()
	in := make([]byte, (len(m)+size-1)/size) // a byte a page
	if _, _, e := syscall.Syscall(syscall.SYS_MINCORE, uintptr(unsafe.Pointer(&m[0])), uintptr(len(m)), uintptr(unsafe.Pointer(&in[0]))); e != 0 {
		return 0, 0, e
	}
	for _, b := range in {
		cached += int(b & 1)
	}
	return len(in), cached, nil
}
