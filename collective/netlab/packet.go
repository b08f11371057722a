package netlab

import (
	"encoding/binary"
	"net"
)

// vnetHeader is the length of struct virtio_net_hdr, which goes before each packet of a device that was opened with
// IFF_VNET_HDR (linux/virtio_net.h): it lets the kernel hand over, and take, long packets that are not cut into
// segments and have no checksum yet, without which a switch in user space reaches no 10 Gbit/s.
const vnetHeader = 10

// packet is one that the switch carries: the header of the device and what follows it, as it was read.
type packet []byte

// to is the node that an IPv4 packet is for; -1 for what has no place here, as multicast and IPv6.
func (p packet) to(nodes int) int {
	if len(p) < vnetHeader+20 || p[vnetHeader]>>4 != 4 {
		return -1
	}
	ip := net.IP(p[vnetHeader+16 : vnetHeader+20])
	first := Address(0).To4()
	if n := int(ip[3]) - int(first[3]); ip[0] == first[0] && ip[1] == first[1] && ip[2] == first[2] && n >= 0 && n < nodes {
		return n
	}
	return -1
}

// onWire is how many bytes the packet is on the wire. The device's header says how long IP and TCP headers are and
// into what segments the rest is cut, in the byte order of the machine.
func (p packet) onWire() int {
	headers := int(binary.NativeEndian.Uint16(p[2:]))
	segment := int(binary.NativeEndian.Uint16(p[4:]))
	if p[1] == 0 { // VIRTIO_NET_HDR_GSO_NONE
		segment = 0
	}
	return wireBytes(len(p)-vnetHeader, headers, segment)
}
