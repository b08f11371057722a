package launch

import (
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func good() map[string]string {
	return map[string]string{
		EnvRank: "1", EnvWorldSize: "2", EnvLocalRank: "0", EnvLocalWorldSize: "1", EnvNodeRank: "1",
		EnvNode: "b", EnvEpoch: "3", EnvJob: "j", EnvPeers: "127.0.0.1:4000,[::1]:4001", EnvToken: "secret", EnvListenFD: "3",
	}
}

func look(m map[string]string) func(string) (string, bool) {
	return func(k string) (string, bool) { v, ok := m[k]; return v, ok }
}

func TestParseEnv(t *testing.T) {
	w, fd, err := parseEnv(look(good()))
	if err != nil || fd != 3 {
		t.Fatalf("fd %d, error %v", fd, err)
	}
	if w.Rank != 1 || w.WorldSize != 2 || w.LocalRank != 0 || w.LocalWorldSize != 1 || w.NodeRank != 1 || w.Node != "b" || w.Epoch != 3 ||
		w.Job != "j" || w.Token != "secret" || len(w.Peers) != 2 || w.Peers[1] != "[::1]:4001" {
		t.Errorf("got %+v", w)
	}
	secure := good()
	secure[EnvTLSCA], secure[EnvTLSCert], secure[EnvTLSKey] = "ca", "cert", "key"
	if w, _, err := parseEnv(look(secure)); err != nil || w.TLS != (TLS{"ca", "cert", "key"}) {
		t.Errorf("got %+v, %v", w.TLS, err)
	}
	w, fd, err = parseEnv(look(nil))
	if err != nil || fd != -1 || w.WorldSize != 1 || w.LocalWorldSize != 1 || w.Rank != 0 {
		t.Errorf("alone: %+v, fd %d, error %v", w, fd, err)
	}
}

func TestParseEnvNamesTheVariable(t *testing.T) {
	tests := []struct{ name, value, want string }{
		{EnvRank, "x", `VGID_RANK="x" is not a number`},
		{EnvRank, "2", "VGID_RANK=2 is not below VGID_WORLD_SIZE=2"},
		{EnvRank, "-1", "VGID_RANK=-1 is outside"},
		{EnvRank, "", "VGID_RANK is empty"},
		{EnvRank, "-", "VGID_RANK is not set"},
		{EnvWorldSize, "0", "VGID_WORLD_SIZE=0 is outside"},
		{EnvWorldSize, "99999999999999999999", "VGID_WORLD_SIZE=99999999999999999999 is outside"},
		{EnvWorldSize, "3", "VGID_PEERS has 2 addresses, VGID_WORLD_SIZE=3"},
		{EnvLocalRank, "1", "VGID_LOCAL_RANK=1 is not below VGID_LOCAL_WORLD_SIZE=1"},
		{EnvLocalWorldSize, "3", "VGID_LOCAL_WORLD_SIZE=3 is more than VGID_WORLD_SIZE=2"},
		{EnvNodeRank, "2", "VGID_NODE_RANK=2 is not below"},
		{EnvEpoch, "0", `VGID_EPOCH="0" is not a positive number`},
		{EnvToken, "-", "VGID_TOKEN is not set"},
		{EnvPeers, "a:1,b", `VGID_PEERS: address "b" of rank 1 is not host:port`},
		{EnvPeers, "a:1,b:0", `VGID_PEERS: address "b:0" of rank 1`},
		{EnvListenFD, "2", "VGID_LISTEN_FD=2 is outside"},
		{EnvTLSKey, "key.pem", "VGID_TLS_KEY is set, but not all of VGID_TLS_CA, VGID_TLS_CERT and VGID_TLS_KEY: set all of them or none"},
	}
	for _, c := range tests {
		m := maps.Clone(good())
		m[c.name] = c.value
		if c.value == "-" {
			delete(m, c.name)
		}
		_, _, err := parseEnv(look(m))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s=%q: got %v, want %q", c.name, c.value, err, c.want)
		}
	}
	if _, _, err := parseEnv(look(map[string]string{EnvPeers: "a:1"})); err == nil || !strings.Contains(err.Error(), EnvPeers) {
		t.Errorf("peers without rank: %v", err)
	}
}

func TestFromEnvTakesTheSocket(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	for k, v := range good() {
		t.Setenv(k, v)
	}
	t.Setenv(EnvListenFD, strconv.Itoa(int(f.Fd())))
	w, err := FromEnv() // owns the descriptor from here on
	if err != nil {
		t.Fatal(err)
	}
	defer w.Listener.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatalf("nobody listens: %v", err)
	}
	c.Close()

	file, err := os.Create(t.TempDir() + "/f")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(EnvListenFD, strconv.Itoa(int(file.Fd())))
	if _, err := FromEnv(); err == nil || !strings.Contains(err.Error(), EnvListenFD) {
		t.Errorf("a file as socket: %v", err)
	}
}

func FuzzParseEnv(f *testing.F) {
	f.Add("1", "2", "a:1,b:2", "3")
	f.Add("", "-1", ",", "0")
	f.Fuzz(func(t *testing.T, rank, world, peers, epoch string) {
		m := good()
		m[EnvRank], m[EnvWorldSize], m[EnvPeers], m[EnvEpoch] = rank, world, peers, epoch
		w, _, err := parseEnv(look(m))
		if err == nil && (w.Rank < 0 || w.Rank >= w.WorldSize || len(w.Peers) != w.WorldSize || w.Epoch == 0) {
			t.Errorf("accepted %+v", w)
		}
	})
}

func TestMachineRank(t *testing.T) {
	peers := []string{"10.0.0.1:70", "10.0.0.2:70", "10.0.0.1:71", "10.0.0.1:72", "10.0.0.2:71"}
	for rank, want := range []int{0, 0, 1, 2, 1} {
		w := Worker{Rank: rank, WorldSize: len(peers), Peers: peers}
		if got := w.MachineRank(); got != want {
			t.Errorf("rank %d is number %d of its machine, want %d", rank, got, want)
		}
		if got := w.Machines(); !slices.Equal(got, []int{0, 1, 0, 0, 1}) {
			t.Errorf("the machines of the workers are %v", got)
		}
	}
	if a, b := (Worker{Rank: 2, Peers: peers}).MachineWorkers(), (Worker{Rank: 1, Peers: peers}).MachineWorkers(); a != 3 || b != 2 {
		t.Errorf("%d and %d workers of machines with 3 and 2", a, b)
	}
	if w := (Worker{WorldSize: 1, LocalWorldSize: 1}); w.MachineRank() != 0 || w.MachineWorkers() != 1 {
		t.Errorf("alone: number %d of %d", w.MachineRank(), w.MachineWorkers())
	}
}

func TestNotices(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var told []int
	heard := make(chan struct{}, 8)
	worker := Worker{Rank: 1, WorldSize: 4, notices: r}
	stop := worker.OnLost(func(rank int, why string) {
		if why == "gone" {
			told = append(told, rank)
		}
		heard <- struct{}{}
	})
	Notice{Ranks: []int{1, -1, 4, 2}, Why: "gone"}.WriteTo(w) // itself and strangers do not count
	w.WriteString("not a notice\n{}\n")
	Notice{Ranks: []int{3}, Why: "gone"}.WriteTo(w)
	<-heard
	<-heard
	stop() // though the pipe is open
	w.Close()
	if len(told) != 2 || told[0] != 2 || told[1] != 3 {
		t.Errorf("told of %v", told)
	}
	(Worker{}).OnLost(nil)()
}
