package cpu

import (
	"bytes"
	"strings"
	"testing"
	"testing/fstest"

	"vgid/model/backend"
)

func TestFreeBytes(t *testing.T) {
	const meminfo = "MemTotal:       24000000 kB\nMemFree:         1000000 kB\nMemAvailable:   20000000 kB\n"
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	group := func(limit, used, stat string) fstest.MapFS {
		return fstest.MapFS{
			"proc/meminfo": file(meminfo), "proc/self/cgroup": file("0::/box/job\n"),
			"sys/fs/cgroup/box/job/memory.max":     file("max\n"),
			"sys/fs/cgroup/box/job/memory.current": file("7\n"),
			"sys/fs/cgroup/box/memory.max":         file(limit), "sys/fs/cgroup/box/memory.current": file(used),
			"sys/fs/cgroup/box/memory.stat": file(stat),
		}
	}
	for _, c := range []struct {
		name string
		root fstest.MapFS
		want int64 // 0: an error
	}{
		{"no group", fstest.MapFS{"proc/meminfo": file(meminfo)}, 20000000 << 10},
		{"a group around ours has a limit", group("8000000\n", "3000000\n", "anon 5\n"), 5000000},
		{"pages of files can be given back", group("8000000\n", "3000000\n", "anon 5\ninactive_file 2500000\n"), 7500000},
		{"those in use and the kernel's caches, too", group("8000000\n", "3000000\n", "anon 5\nfile 9\ninactive_file 500000\nactive_file 1000000\nslab_reclaimable 7\nslab 100\n"), 6500007},
		{"above its limit", group("8000000\n", "9000000\n", ""), 1}, // 0, told from an error below
		{"without a limit", group("max\n", "3000000\n", ""), 20000000 << 10},
		{"no meminfo", fstest.MapFS{}, 0},
		{"old meminfo", fstest.MapFS{"proc/meminfo": file("MemTotal: 5 kB\n")}, 0},
		{"damaged meminfo", fstest.MapFS{"proc/meminfo": file("MemAvailable: much\n")}, 0},
	} {
		got, err := freeBytes(c.root)
		if c.want == 0 {
			if err == nil {
				t.Errorf("%s: no error", c.name)
			}
			continue
		}
		total, terr := totalBytes(c.root)
		if want := int64(24000000 << 10); terr != nil || total != want && total != 8000000 {
			t.Errorf("%s: %d bytes in all, %v", c.name, total, terr)
		} else if limited := c.root["sys/fs/cgroup/box/memory.max"]; (total == 8000000) != (limited != nil && string(limited.Data) != "max\n") {
			t.Errorf("%s: %d bytes in all", c.name, total)
		}
		if c.want == 1 {
			c.want = 0
		}
		if err != nil || got != c.want {
			t.Errorf("%s: %d, %v, want %d", c.name, got, err, c.want)
		}
	}
}

func TestAdoptedMemoryIsOnlyRead(t *testing.T) {
	for name, write := range map[string]func(b backend.Backend, x, y backend.Tensor){
		"upload": func(b backend.Backend, x, _ backend.Tensor) { b.Upload(x, make([]float32, x.Len())) },
		"fill":   func(b backend.Backend, x, _ backend.Tensor) { b.Fill(x, 1) },
		"copy":   func(b backend.Backend, x, y backend.Tensor) { b.Copy(x, y) },
		"matmul": func(b backend.Backend, x, y backend.Tensor) { b.MatMul(x, y, y, backend.MatMul{Alpha: 1}) },
	} {
		b := New(1)
		mem := make([]byte, 4*4*4)
		buf, err := b.Adopt(backend.F32, mem)
		if err != nil {
			t.Fatal(err)
		}
		write(b, backend.View(buf, 0, 4, 4), floats(t, b, 4, 4))
		if err := b.Sync(); err == nil || !strings.Contains(err.Error(), name+": f32[4, 4] is adopted memory") {
			t.Errorf("%s: error %v", name, err)
		}
		if !bytes.Equal(mem, make([]byte, len(mem))) {
			t.Errorf("%s wrote to adopted memory", name)
		}
		b.Close()
	}
}

// The host reads and writes memory in place, of what lies in one piece and is not lent.
func TestHostMemory(t *testing.T) {
	be := New(1)
	defer be.Close()
	b, err := be.Alloc(backend.F32, 12)
	if err != nil {
		t.Fatal(err)
	}
	x := backend.View(b, 3, 2, 4)
	be.Fill(x, 7)
	got := be.Host(x)
	if len(got) != 8 || cap(got) != 8 || got[0] != 7 || got[7] != 7 {
		t.Fatalf("%v", got)
	}
	got[5] = 9
	read := make([]float32, 8)
	if err := be.Download(read, x); err != nil || read[5] != 9 {
		t.Errorf("%v, %v", read, err)
	}
	if be.Host(x.ColRange(0, 2)) != nil {
		t.Error("the memory of a strided tensor is one piece")
	}
}
