package netlab

import (
	"io"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// start makes a network, or skips the test where the machine does not let it.
func start(t *testing.T, spec Spec) *Lab {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root makes network namespaces")
	}
	l, err := Start(spec)
	if err != nil {
		t.Skipf("SKIPPED: this machine makes no network namespaces: %v", err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		goleak.VerifyNone(t)
	})
	return l
}

// dial connects a node to a listener on another.
func dial(t *testing.T, l *Lab, from, to int) (client, server net.Conn) {
	t.Helper()
	lis, err := l.Listen(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	err = l.nodes[from].inside(func() (err error) {
		client, err = net.DialTimeout("tcp", lis.Addr().String(), 10*time.Second)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if server, err = lis.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

// A round trip takes no less than two delays; how much more depends on the machine.
func TestDelay(t *testing.T) {
	const delay = 5 * time.Millisecond
	l := start(t, Spec{Nodes: 2, Rate: 10e9, Delay: delay})
	client, server := dial(t, l, 0, 1)
	go io.Copy(server, server)
	fastest := time.Hour
	b := make([]byte, 8)
	for range 20 {
		begin := time.Now()
		if _, err := client.Write(b); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(client, b); err != nil {
			t.Fatal(err)
		}
		fastest = min(fastest, time.Since(begin))
	}
	t.Logf("round trip %v", fastest)
	if fastest < 2*delay || fastest > 4*delay {
		t.Errorf("the fastest of 20 round trips over links of %v took %v", delay, fastest)
	}
}

// What goes through a link takes at least its bytes' time.
func TestRate(t *testing.T) {
	const bytes, rate = 8 << 20, 400e6
	l := start(t, Spec{Nodes: 2, Rate: rate, Delay: time.Millisecond})
	client, server := dial(t, l, 1, 0)
	go func() {
		_, _ = client.Write(make([]byte, bytes))
	}()
	begin := time.Now()
	if _, err := io.CopyN(io.Discard, server, bytes); err != nil {
		t.Fatal(err)
	}
	took := time.Since(begin).Seconds()
	t.Logf("%.0f Mbit/s", bytes*8/took/1e6)
	if least := bytes * 8 / rate; took < least || took > 3*least {
		t.Errorf("%d bytes through %g bit/s took %.3f s, at least %.3f are due", bytes, rate, took, least)
	}
}

// Processes that are started on a node have its address and no other network.
func TestProcess(t *testing.T) {
	if os.Getenv("NETLAB_CHILD") != "" {
		addrs, err := net.InterfaceAddrs()
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range addrs {
			if ip := a.(*net.IPNet).IP; !ip.IsLoopback() && ip.To4() != nil {
				os.Stdout.WriteString(ip.String())
			}
		}
		os.Exit(0)
	}
	l := start(t, Spec{Nodes: 3, Rate: 1e9})
	for i := range 3 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "TestProcess")
		cmd.Env = append(os.Environ(), "NETLAB_CHILD=1")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Run(i, cmd); err != nil {
			t.Fatal(err)
		}
		said, _ := io.ReadAll(out)
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		if got := string(said); got != Address(i).String() {
			t.Errorf("a process on node %d has the addresses %q, want %q", i, got, Address(i))
		}
	}
}

func TestSpec(t *testing.T) {
	for _, s := range []Spec{{}, {Nodes: 251, Rate: 1e9}, {Nodes: 2}, {Nodes: 2, Rate: 1e12}, {Nodes: 2, Rate: 1e9, Delay: -1}, {Nodes: 2, Rate: 1e9, Delay: time.Minute}} {
		if _, err := Start(s); err == nil {
			t.Errorf("%+v makes a network", s)
		}
	}
}

// Two packets of one node follow each other, and each takes its time.
func TestLink(t *testing.T) {
	l := link{rate: 8e6} // a byte in a microsecond
	begin := time.Unix(1, 0)
	for _, c := range []struct {
		from  time.Duration
		bytes int
		want  time.Duration
	}{{0, 100, 100}, {0, 50, 150}, {120, 50, 200}, {1000, 10, 1010}} {
		if got := l.through(begin.Add(c.from*time.Microsecond), c.bytes).Sub(begin); got != c.want*time.Microsecond {
			t.Errorf("%d bytes from %v on are through at %v, want %v", c.bytes, c.from*time.Microsecond, got, c.want*time.Microsecond)
		}
	}
}

func TestWireBytes(t *testing.T) {
	for _, c := range []struct{ length, headers, segment, want int }{
		{52, 52, 0, 90},                           // an acknowledgement
		{1500, 52, 1448, 1538},                    // one full segment
		{52 + 2*1448, 52, 1448, 2*1448 + 2*90},    // two
		{52 + 2*1448 + 1, 52, 1448, 2*1448 + 271}, // and one byte
	} {
		if got := wireBytes(c.length, c.headers, c.segment); got != c.want {
			t.Errorf("a packet of %d bytes in segments of %d takes %d bytes on the wire, want %d", c.length, c.segment, got, c.want)
		}
	}
}

func TestPacket(t *testing.T) {
	p := make(packet, vnetHeader+20)
	p[vnetHeader] = 0x45
	copy(p[vnetHeader+16:], Address(1).To4())
	if got := p.to(2); got != 1 {
		t.Errorf("a packet for node 1 goes to %d", got)
	}
	if got := p.to(1); got != -1 {
		t.Errorf("with one node a packet for node 1 goes to %d", got)
	}
	p[vnetHeader] = 0x60
	if got := p.to(2); got != -1 {
		t.Errorf("a packet of IPv6 goes to %d", got)
	}
	if got := packet(nil).to(2); got != -1 {
		t.Errorf("an empty packet goes to %d", got)
	}
}

func TestParseRate(t *testing.T) {
	for in, want := range map[string]float64{"10gbit": 10e9, "1.5 Gbit": 1.5e9, "200mbit": 200e6, "64kbit": 64e3, "1000000": 1e6, "8bit": 8} {
		if got, err := ParseRate(in); err != nil || got != want {
			t.Errorf("%q is %g, %v; want %g", in, got, err, want)
		}
	}
	for _, in := range []string{"", "gbit", "-1gbit", "0mbit", "NaN", "nanmbit", "infgbit", "1e300gbit", "10GB", "ten"} {
		if got, err := ParseRate(in); err == nil {
			t.Errorf("%q is %g", in, got)
		}
	}
}
