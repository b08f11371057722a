package monitor

import (
	"net"
	"strings"
	"testing"
)

func TestResolve(t *testing.T) {
	alone, local, node := Reach{}, Reach{"127.0.0.1", "127.0.0.1"}, Reach{"10.1.0.7", "10.1.0.7"}
	behind := Reach{"::", "203.0.113.5"} // listens everywhere, is reached at an advertised address
	six := Reach{"fd00::7", "fd00::7"}
	card := func(s ...string) func() ([]net.Addr, error) {
		return func() (out []net.Addr, err error) {
			for _, a := range s {
				ip, n, err := net.ParseCIDR(a)
				if err != nil {
					return nil, err
				}
				out = append(out, &net.IPNet{IP: ip, Mask: n.Mask})
			}
			return out, nil
		}
	}
	cards := card("127.0.0.1/8", "::1/128", "fe80::1/64", "fd00::1/64", "192.168.4.2/24")
	for _, c := range []struct {
		addr      string
		reach     Reach
		permitted bool
		listen    string
		host      string
		note      bool
		bad       string
	}{
		{addr: ":0", reach: alone, listen: "127.0.0.1:0", host: "127.0.0.1"},
		{addr: ":9464", reach: local, listen: "127.0.0.1:9464", host: "127.0.0.1"},
		{addr: ":0", reach: node, listen: "10.1.0.7:0", host: "10.1.0.7"},
		{addr: ":0", reach: behind, listen: "[::]:0", host: "203.0.113.5"},
		{addr: ":0", reach: six, listen: "[fd00::7]:0", host: "fd00::7"},
		{addr: "127.0.0.1:9464", reach: node, listen: "127.0.0.1:9464", host: "127.0.0.1"},
		{addr: "localhost:9464", reach: alone, listen: "localhost:9464", host: "localhost"},
		{addr: "[::1]:9464", reach: alone, listen: "[::1]:9464", host: "::1"},
		{addr: "0.0.0.0:9464", reach: node, listen: "0.0.0.0:9464", host: "10.1.0.7"},
		{addr: "[::]:9464", reach: node, listen: "[::]:9464", host: "10.1.0.7"},
		{addr: "0.0.0.0:9464", reach: alone, listen: "127.0.0.1:9464", host: "127.0.0.1", note: true},
		{addr: "[::]:0", reach: local, listen: "127.0.0.1:0", host: "127.0.0.1", note: true},
		{addr: "0.0.0.0:9464", reach: alone, permitted: true, listen: "0.0.0.0:9464", host: "192.168.4.2"},
		{addr: "[::]:9464", reach: local, permitted: true, listen: "[::]:9464", host: "192.168.4.2"},
		{addr: "192.168.4.2:9464", reach: alone, permitted: true, listen: "192.168.4.2:9464", host: "192.168.4.2"},
		{addr: "192.168.4.2:9464", reach: node, listen: "192.168.4.2:9464", host: "192.168.4.2"},
		{addr: "192.168.4.2:9464", reach: alone, bad: "set metrics.insecure_network"},
		{addr: "node7:9464", reach: local, bad: "set metrics.insecure_network"},
		{addr: "9464", reach: alone, bad: "want host:port"},
		{addr: "::1:9464", reach: alone, bad: "want host:port"},
	} {
		got, err := Resolve(c.addr, c.reach, c.permitted, cards)
		if c.bad != "" {
			if err == nil || !strings.Contains(err.Error(), c.bad) || !strings.Contains(err.Error(), c.addr) {
				t.Errorf("%s: %v, want %q", c.addr, err, c.bad)
			}
			continue
		}
		if err != nil || got.Listen != c.listen || got.Host != c.host || (got.Note != "") != c.note {
			t.Errorf("%s at %+v: %+v, %v", c.addr, c.reach, got, err)
		}
		if ip := net.ParseIP(got.Host); ip != nil && ip.IsUnspecified() {
			t.Errorf("%s: target %s", c.addr, got.Host)
		}
	}
	for want, from := range map[string]func() ([]net.Addr, error){
		"fd00::1": card("127.0.0.1/8", "fe80::1/64", "fd00::1/64"), "127.0.0.1": card("127.0.0.1/8"),
	} {
		if got, err := Resolve("0.0.0.0:1", alone, true, from); err != nil || got.Host != want {
			t.Errorf("%+v, %v, want %s", got, err, want)
		}
	}
}
