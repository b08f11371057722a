package monitor

import (
	"fmt"
	"net"
)

// Reach says where a worker is on the network, as its launcher told it. Both are
// empty without a launcher.
type Reach struct {
	Bind string // the address it listens on for the other workers
	Own  string // the address the others reach it at
}

// Machine tells machines apart: the same for all workers of one, as far as their
// addresses say.
func (r Reach) Machine() string {
	if !r.network() {
		return ""
	}
	return r.Own
}

// network reports whether the launcher was told to use more than loopback.
func (r Reach) network() bool { return r.Own != "" && !isLoopback(r.Own) }

// Endpoint is where a worker serves its metrics.
type Endpoint struct {
	Listen string // host:port to listen on
	Host   string // under which others reach it
	Note   string // what has to be said about it; may be empty
}

// Resolve decides where metrics.addr leads. Without a host that is where the other
// workers reach this one. Metrics are neither encrypted nor authenticated: beyond
// loopback they are served where the launcher was told to trust the network, or
// permitted says so. An unspecified address (0.0.0.0, ::) is narrowed to loopback
// without that, with a Note; any other is refused. interfaces is
// net.InterfaceAddrs.
func Resolve(addr string, r Reach, permitted bool, interfaces func() ([]net.Addr, error)) (Endpoint, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return Endpoint{}, fmt.Errorf("metrics.addr %q: want host:port, for example 127.0.0.1:9464", addr)
	}
	at := func(listen, host, note string) (Endpoint, error) {
		return Endpoint{net.JoinHostPort(listen, port), host, note}, nil
	}
	ip := net.ParseIP(host)
	switch {
	case host == "" && r.Own == "":
		return at(loopback, loopback, "")
	case host == "":
		return at(r.Bind, r.Own, "")
	case ip != nil && ip.IsUnspecified() && r.network():
		return at(host, r.Own, "")
	case ip != nil && ip.IsUnspecified() && permitted:
		own, err := firstAddress(interfaces)
		if err != nil {
			return Endpoint{}, fmt.Errorf("metrics.addr %s: %w", addr, err)
		}
		return at(host, own, "")
	case ip != nil && ip.IsUnspecified():
		return at(loopback, loopback, fmt.Sprintf("metrics.addr %s: served on %s only, since metrics are neither encrypted nor authenticated; "+
			"set metrics.insecure_network if you trust everybody who reaches this machine", addr, loopback))
	case !isLoopback(host) && !r.network() && !permitted:
		return Endpoint{}, fmt.Errorf("metrics.addr %s: metrics are neither encrypted nor authenticated; set metrics.insecure_network if you trust everybody who reaches that address", addr)
	}
	return at(host, host, "")
}

// A worker that is alone is reached from its own machine only, unless a user says more.
const loopback = "127.0.0.1"

// isLoopback takes an address or localhost; any other name may lead anywhere.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// IsLoopback reports whether a target host:port is of use on its own machine only.
func IsLoopback(target string) bool {
	host, _, err := net.SplitHostPort(target)
	return err == nil && isLoopback(host)
}

// firstAddress is an address of this machine that others may reach: the first
// global one, IPv4 before IPv6; loopback where there is none.
func firstAddress(interfaces func() ([]net.Addr, error)) (string, error) {
	all, err := interfaces()
	if err != nil {
		return "", err
	}
	best := loopback
	for _, a := range all {
		n, ok := a.(*net.IPNet)
		switch {
		case !ok || !n.IP.IsGlobalUnicast():
		case n.IP.To4() != nil:
			return n.IP.String(), nil
		case best == loopback:
			best = n.IP.String()
		}
	}
	return best, nil
}
