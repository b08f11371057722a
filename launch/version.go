package launch

import "runtime/debug"

// Version is the module version this program was built as, else the commit,
// else "devel".
func Version() string {
	v := "devel"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v = s.Value
		}
	}
	if m := info.Main.Version; m != "" && m != "(devel)" {
		v = m
	}
	return v
}
