package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"

	"vgid/launch/discovery"
	"vgid/launch/job"
	"vgid/launch/view"
)

func encode(m job.Message) []byte {
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // plain data only
	}
	return b
}

// decode reads what another agent says. It knows the secret, but may be of
// another version: what is odd is refused as a whole.
func decode(b []byte) (job.Message, error) {
	var m job.Message
	if len(b) > discovery.MaxMessage {
		return m, fmt.Errorf("message of %d bytes", len(b))
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&m); err != nil {
		return m, err
	}
	// Exactly one, so that no message is half understood by a version to come.
	set := 0
	for _, is := range []bool{m.View != nil, m.Relay != nil, m.Ping, m.Alive} {
		if is {
			set++
		}
	}
	if set != 1 {
		return m, errors.New("message of several kinds or none")
	}
	if m.View != nil && (m.View.Epoch > maxEpoch || m.View.View != nil && m.View.View.Epoch > maxEpoch) {
		return m, errors.New("impossible epoch")
	}
	return m, nil
}

// maxEpoch leaves room to count on: an epoch of all ones would be the last.
const maxEpoch = 1 << 62

// announcement is a view.Member as gossip carries it. Its fields have short
// names and its host stands once, for all ranks share a packet of 512 bytes.
type announcement struct {
	Node  string   `json:"n"`
	Index int      `json:"i"`
	Nodes int      `json:"w"`
	Host  string   `json:"h"`
	Ports []uint16 `json:"p"`
}

func announce(m view.Member) ([]byte, error) {
	a := announcement{Node: m.Node, Index: m.Index, Nodes: m.Nodes}
	for _, addr := range m.Addrs {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		p, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return nil, err
		}
		a.Host, a.Ports = host, append(a.Ports, uint16(p))
	}
	return json.Marshal(a)
}

// announced reads it again, and refuses what could not become a view: whatever
// is announced here ends in addresses that workers call.
func announced(id string, b []byte) (view.Member, error) {
	var a announcement
	if err := json.Unmarshal(b, &a); err != nil {
		return view.Member{}, err
	}
	if len(a.Ports) == 0 || net.ParseIP(a.Host) == nil || !nameForm.MatchString(a.Node) {
		return view.Member{}, errors.New("incomplete announcement")
	}
	m := view.Member{ID: id, Node: a.Node, Index: a.Index, Nodes: a.Nodes}
	for _, p := range a.Ports {
		m.Addrs = append(m.Addrs, net.JoinHostPort(a.Host, strconv.Itoa(int(p))))
	}
	return m, nil
}
