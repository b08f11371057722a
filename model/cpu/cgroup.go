package cpu

import (
	"io/fs"
	"iter"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
)

// group is a control group that holds this process, as a folder.
type group struct {
	dir string
	*hierarchy
}

// hierarchy is a mounted tree of control groups that count memory. A machine has
// one that does, of version 2 or 1; on a hybrid one it is of version 1, beside an
// empty one of version 2. Sources: kernel documentation, cgroup-v2 and
// cgroup-v1/memory.
type hierarchy struct {
	mounted     string // where
	limit, used string // names of files
	// What memory.stat calls pages of files and caches of the kernel: they count as
	// used, also those of mapped weights that are in use, but are given back under
	// pressure, as MemAvailable has it. Version 1 counts a group alone beside the
	// totals, and says nothing of caches.
	reclaimable []string
	tightest    string // field of memory.stat: the least limit of all groups around
}

var (
	version2 = hierarchy{limit: "memory.max", used: "memory.current", reclaimable: []string{"inactive_file", "active_file", "slab_reclaimable"}}
	version1 = hierarchy{limit: "memory.limit_in_bytes", used: "memory.usage_in_bytes",
		reclaimable: []string{"total_inactive_file", "total_active_file"}, tightest: "hierarchical_memory_limit"}
)

// groupsAround yields the control groups that hold this process, from the inmost
// on to the root of what is mounted. In a container that is often the inmost
// group, and the path that the kernel gives does not exist there.
// All of them count: a limit anywhere on the way to the root bounds what is below.
func groupsAround(root fs.FS) iter.Seq[group] {
	return func(yield func(group) bool) {
		own, err := fs.ReadFile(root, "proc/self/cgroup")
		if err != nil {
			return
		}
		mounts, _ := fs.ReadFile(root, "proc/self/mountinfo") // without it, where they usually are
		for line := range strings.Lines(string(own)) {
			h, dir, ok := hierarchyOf(strings.TrimRight(line, "\n"), string(mounts))
			for ; ok; dir = path.Dir(dir) {
				if !yield(group{dir, &h}) {
					return
				}
				ok = dir != h.mounted && !separate(root, path.Dir(dir))
			}
		}
	}
}

// hierarchyOf reads a line of /proc/self/cgroup (cgroups(7)): the hierarchy, if it
// may count memory, and the folder of the group of it that holds this process.
func hierarchyOf(line, mounts string) (h hierarchy, dir string, ok bool) {
	fields := strings.SplitN(line, ":", 3)
	if len(fields) != 3 {
		return h, "", false
	}
	var kind, controller, usual string
	switch name := fields[1]; {
	case fields[0] == "0" && name == "":
		h, kind, usual = version2, "cgroup2", "sys/fs/cgroup"
	case slices.Contains(strings.Split(name, ","), "memory"):
		h, kind, controller, usual = version1, "cgroup", "memory", "sys/fs/cgroup/memory"
	default:
		return h, "", false
	}
	name := fields[2]
	mounted, top := mountOf(mounts, kind, controller, name)
	if h.mounted = mounted; mounted == "" {
		h.mounted, top = usual, "/"
	}
	if rest, ok := inside(top, name); ok {
		name = rest
	} // else the path of another namespace, of which at least the root is here
	return h, path.Join(h.mounted, path.Clean("/"+name)), true
}

// mountOf finds where a hierarchy is mounted and which of its groups is the root
// there (proc_pid_mountinfo(5)): of several mounts one that holds the group name.
func mountOf(mounts, kind, controller, name string) (dir, top string) {
	for line := range strings.Lines(mounts) {
		before, after, ok := strings.Cut(line, " - ")
		f, options := strings.Fields(before), strings.Fields(after)
		if !ok || len(f) < 5 || len(options) < 3 || options[0] != kind {
			continue
		}
		if controller != "" && !slices.Contains(strings.Split(options[2], ","), controller) {
			continue
		}
		at, of := strings.Trim(path.Clean(unescape(f[4])), "/"), path.Clean("/"+unescape(f[3]))
		if _, holds := inside(of, name); holds {
			return at, of
		}
		if dir == "" {
			dir, top = at, of
		}
	}
	return dir, top
}

// inside is the path of a group from another that holds it.
func inside(top, name string) (string, bool) {
	name = path.Clean("/" + name)
	if top == "/" || name == top {
		return strings.TrimPrefix(name, top), true
	}
	return strings.CutPrefix(name, top+"/")
}

// unescape undoes the \040 and the like of mountinfo.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// separate reports whether a group of version 1 leaves what its children use out
// of its own count, and so does not bound them.
func separate(root fs.FS, dir string) bool {
	n, ok := number(root, dir+"/memory.use_hierarchy")
	return ok && n == 0
}

// bound is the limit of a group, if it has one. That of version 1 without a limit
// is a number near the largest.
func (g group) bound(root fs.FS) (int64, bool) {
	limit, ok := number(root, g.dir+"/"+g.limit)
	if all, known := g.stat(root, g.tightest); known {
		limit, ok = min(all, orMost(limit, ok)), true
	}
	return limit, ok && limit < 1<<60
}

// orMost is n where it is known, else a number that no minimum picks.
func orMost(n int64, ok bool) int64 {
	if !ok {
		return math.MaxInt64
	}
	return n
}

// left is what a group leaves this process of its limit.
// What can be given back counts as free: MemAvailable of the machine is computed in the same
// way.
func (g group) left(root fs.FS) (int64, bool) {
	limit, ok1 := g.bound(root)
	used, ok2 := number(root, g.dir+"/"+g.used)
	for _, name := range g.reclaimable {
		n, _ := g.stat(root, name)
		used -= n
	}
	return max(0, limit-max(0, used)), ok1 && ok2
}

// stat is a field of a group's memory.stat.
func (g group) stat(root fs.FS, field string) (int64, bool) {
	b, err := fs.ReadFile(root, g.dir+"/memory.stat")
	if err != nil || field == "" {
		return 0, false
	}
	for line := range strings.Lines(string(b)) {
		if name, rest, _ := strings.Cut(strings.TrimSpace(line), " "); name == field {
			n, err := strconv.ParseInt(rest, 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

// number reads a file of one integer, as control groups have them.
func number(root fs.FS, name string) (int64, bool) {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	return n, err == nil // "max" is no limit
}
