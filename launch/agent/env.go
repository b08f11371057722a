//go:build unix

package agent

import (
	"runtime"
	"strconv"
	"strings"

	"vgid/launch"
	"vgid/launch/view"
)

// workerEnv is the launcher's environment with the contract of package launch.
// What an outer launcher has set under the same names goes: a worker below srun
// is not the process that srun means.
func workerEnv(o *Options, v view.View, r view.Rank, base []string) []string {
	var peers []string
	for _, p := range v.Ranks() {
		peers = append(peers, p.Addr)
	}
	local := strconv.Itoa(len(v.Members[r.NodeRank].Addrs))
	rank, world := strconv.Itoa(r.Rank), strconv.Itoa(v.WorldSize())
	set := [][2]string{
		{launch.EnvRank, rank},
		{launch.EnvWorldSize, world},
		{launch.EnvLocalRank, strconv.Itoa(r.LocalRank)},
		{launch.EnvLocalWorldSize, local},
		{launch.EnvNodeRank, strconv.Itoa(r.NodeRank)},
		{launch.EnvNode, r.Node},
		{launch.EnvEpoch, strconv.FormatUint(v.Epoch, 10)},
		{launch.EnvJob, v.Job},
		{launch.EnvPeers, strings.Join(peers, ",")},
		{launch.EnvToken, v.Token},
		{launch.EnvListenFD, "3"}, {launch.EnvNoticeFD, "4"}, // ExtraFiles
		{launch.EnvRecords, o.Records},
		{"RANK", rank}, {"WORLD_SIZE", world},
		{"LOCAL_RANK", strconv.Itoa(r.LocalRank)}, {"LOCAL_WORLD_SIZE", local},
		{"GROUP_RANK", strconv.Itoa(r.NodeRank)},
	}
	env := make([]string, 0, len(base)+len(set)+1)
	// Workers that each take all cores of a machine slow each other down.
	threads := true
	for _, kv := range base {
		name, _, _ := strings.Cut(kv, "=")
		if name == "GOMAXPROCS" {
			threads = false
		}
		known := false
		for _, s := range set {
			known = known || s[0] == name
		}
		if !known && name != envChild {
			env = append(env, kv)
		}
	}
	for _, s := range set {
		env = append(env, s[0]+"="+s[1])
	}
	if threads {
		env = append(env, "GOMAXPROCS="+strconv.Itoa(max(1, runtime.GOMAXPROCS(0)/max(1, o.MachineWorkers))))
	}
	return env
}
