package cpu

import (
	"fmt"
	"testing"
	"testing/fstest"

	"pgregory.net/rapid"
)

const gib = 1 << 30

// groups makes a file system of an own control group, mounts, and files.
func groups(own, mounts string, files map[string]any) fstest.MapFS {
	root := fstest.MapFS{
		"proc/meminfo":     {Data: []byte("MemTotal: 67108864 kB\nMemAvailable: 62914560 kB\n")}, // 64 and 60 GiB
		"proc/self/cgroup": {Data: []byte(own)},
	}
	if mounts != "" {
		root["proc/self/mountinfo"] = &fstest.MapFile{Data: []byte(mounts)}
	}
	for name, v := range files {
		root["sys/fs/cgroup/"+name] = &fstest.MapFile{Data: fmt.Append(nil, v, "\n")}
	}
	return root
}

func TestControlGroups(t *testing.T) {
	const none = int64(9223372036854771712) // what version 1 says without a limit
	const v1 = "35 31 0:32 %s /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n"
	const v2 = "41 31 0:38 %s /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
	hybrid := "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n" +
		fmt.Sprintf(v1, "/") + "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
	for name, c := range map[string]struct {
		own, mounts string
		files       map[string]any
		total, free int64
	}{
		"version 1, a parent's limit": {"4:memory:/slurm/uid_0/job_1/step_0\n1:name=systemd:/\n0::/\n", hybrid, map[string]any{
			"memory/slurm/uid_0/job_1/memory.limit_in_bytes": 8 * gib, "memory/slurm/uid_0/job_1/memory.usage_in_bytes": 3 * gib,
			"memory/slurm/uid_0/job_1/step_0/memory.limit_in_bytes": none, "memory/slurm/uid_0/job_1/step_0/memory.usage_in_bytes": gib,
			"memory/memory.limit_in_bytes": none, "memory/memory.usage_in_bytes": 9 * gib,
		}, 8 * gib, 5 * gib},
		"version 1, its own limit below the parent's": {"4:memory:/job/task\n", "", map[string]any{
			"memory/job/memory.limit_in_bytes": 8 * gib, "memory/job/memory.usage_in_bytes": 5 * gib,
			"memory/job/task/memory.limit_in_bytes": 4 * gib, "memory/job/task/memory.usage_in_bytes": 2 * gib,
		}, 4 * gib, 2 * gib},
		"version 1, pages of files": {"4:cpuset,memory:/job\n", "", map[string]any{
			"memory/job/memory.limit_in_bytes": 8 * gib, "memory/job/memory.usage_in_bytes": 7 * gib,
			"memory/job/memory.stat": fmt.Sprintf("cache 9\ninactive_file 5\nactive_file 5\nhierarchical_memory_limit %d\ntotal_inactive_file %d\ntotal_active_file %d\ntotal_unevictable 3", none, gib, 2*gib),
		}, 8 * gib, 4 * gib},
		"version 1, the limit of a group outside the container": {"4:memory:/kube/pod1/box\n", fmt.Sprintf(v1, "/kube/pod1/box"), map[string]any{
			"memory/memory.limit_in_bytes": none, "memory/memory.usage_in_bytes": gib,
			"memory/memory.stat": fmt.Sprintf("hierarchical_memory_limit %d\n", 6*gib),
		}, 6 * gib, 5 * gib},
		"version 1, a group within a container's": {"4:memory:/docker/abc/inner\n", fmt.Sprintf(v1, "/docker/abc"), map[string]any{
			"memory/memory.limit_in_bytes": 16 * gib, "memory/memory.usage_in_bytes": gib,
			"memory/inner/memory.limit_in_bytes": 2 * gib, "memory/inner/memory.usage_in_bytes": 0,
		}, 2 * gib, 2 * gib},
		"version 1, a container without mounts known": {"4:memory:/docker/abc\n", "", map[string]any{
			"memory/memory.limit_in_bytes": 2 * gib, "memory/memory.usage_in_bytes": gib,
		}, 2 * gib, gib},
		"version 1, a parent that does not count its children": {"4:memory:/batch/job\n", "", map[string]any{
			"memory/batch/memory.limit_in_bytes": gib, "memory/batch/memory.usage_in_bytes": gib, "memory/batch/memory.use_hierarchy": 0,
			"memory/batch/job/memory.limit_in_bytes": 4 * gib, "memory/batch/job/memory.usage_in_bytes": 0, "memory/batch/job/memory.use_hierarchy": 1,
		}, 4 * gib, 4 * gib},
		"version 1, mounted elsewhere": {"4:memory:/job\n", "35 31 0:32 / /sys/fs/cgroup/old\\040place rw - cgroup none rw,memory\n", map[string]any{
			"old place/job/memory.limit_in_bytes": 2 * gib, "old place/job/memory.usage_in_bytes": 0,
		}, 2 * gib, 2 * gib},
		"version 1, no limit": {"4:memory:/job\n", "", map[string]any{
			"memory/job/memory.limit_in_bytes": none, "memory/job/memory.usage_in_bytes": gib, "memory/job/memory.stat": fmt.Sprintf("hierarchical_memory_limit %d\n", none),
		}, 64 * gib, 60 * gib},
		"version 1, above its limit": {"4:memory:/job\n", "", map[string]any{
			"memory/job/memory.limit_in_bytes": gib, "memory/job/memory.usage_in_bytes": 2 * gib,
		}, gib, 0},
		"version 2, its own and the parent's": {"0::/user.slice/run\n", fmt.Sprintf(v2, "/"), map[string]any{
			"user.slice/memory.max": 8 * gib, "user.slice/memory.current": 7 * gib, "user.slice/memory.stat": fmt.Sprintf("inactive_file %d\nslab_reclaimable 1024\n", gib-1024),
			"user.slice/run/memory.max": "max", "user.slice/run/memory.current": gib,
		}, 8 * gib, 2 * gib},
		"version 2, a container's group as the root": {"0::/docker/abc\n", fmt.Sprintf(v2, "/docker/abc"), map[string]any{
			"memory.max": 4 * gib, "memory.current": gib,
		}, 4 * gib, 3 * gib},
		"version 2, of two mounts the one that holds it": {"0::/b/c\n", fmt.Sprintf("40 31 0:38 /a /mnt/a rw - cgroup2 cgroup2 rw\n"+v2, "/b"), map[string]any{
			"c/memory.max": 4 * gib, "c/memory.current": gib,
		}, 4 * gib, 3 * gib},
		"version 2, a path of another namespace": {"0::/../../x\n", fmt.Sprintf(v2, "/../.."), map[string]any{
			"memory.max": 4 * gib, "memory.current": gib,
		}, 4 * gib, 3 * gib},
		"hybrid: the memory is version 1's": {"4:memory:/a\n0::/b\n", hybrid, map[string]any{
			"memory/a/memory.limit_in_bytes": 4 * gib, "memory/a/memory.usage_in_bytes": gib, "unified/b/cgroup.procs": "",
		}, 4 * gib, 3 * gib},
		"hybrid: the memory is version 2's": {"4:cpu:/a\n0::/b\n", "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n", map[string]any{
			"unified/b/memory.max": 4 * gib, "unified/b/memory.current": gib,
		}, 4 * gib, 3 * gib},
		"a limit above the machine's memory": {"0::/a\n", "", map[string]any{"a/memory.max": 128 * gib, "a/memory.current": gib}, 64 * gib, 60 * gib},
		"damaged":                            {"memory\n:::\n4:memory\n0:\n", "x - cgroup2\n- - -\n\\04 - cgroup a memory\n", map[string]any{"memory.max": "much"}, 64 * gib, 60 * gib},
	} {
		root := groups(c.own, c.mounts, c.files)
		if total, err := totalBytes(root); err != nil || total != c.total {
			t.Errorf("%s: %d MiB in all, %v, want %d", name, total>>20, err, c.total>>20)
		}
		if free, err := freeBytes(root); err != nil || free != c.free {
			t.Errorf("%s: %d MiB free, %v, want %d", name, free>>20, err, c.free>>20)
		}
	}
}

// Whatever the kernel's files say, the search ends, and gives no more than the machine has.
func TestControlGroupsOfAnyForm(t *testing.T) {
	word := rapid.StringMatching(`[a-c/.:\\0-9 ]{0,12}`)
	rapid.Check(t, func(t *rapid.T) {
		own := rapid.StringMatching(`([0-9]:(memory|cpu|):[/.a-c]{0,8}\n?){0,3}`).Draw(t, "own")
		mounts := fmt.Sprintf("1 2 0:3 /%s /%s rw - cgroup2 c rw\n1 2 0:3 /%s /%s rw - cgroup c rw,memory\n%s", word.Draw(t, "a"), word.Draw(t, "b"), word.Draw(t, "c"), word.Draw(t, "d"), word.Draw(t, "e"))
		free, err := freeBytes(groups(own, mounts, map[string]any{"memory.max": gib, "memory.current": 0, "memory/memory.limit_in_bytes": gib, "memory/memory.usage_in_bytes": 0}))
		if err != nil || free != gib && free != 60*gib {
			t.Fatalf("%d, %v", free, err)
		}
	})
}
