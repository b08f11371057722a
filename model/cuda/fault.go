//go:build cuda && cgo && linux

package cuda

import (
	"fmt"
	"unsafe"

	"vgid/model/backend"
	"vgid/model/cuda/internal/driver"
	"vgid/model/cuda/internal/kernels"
)

// fault is where kernels report an index that is out of range: the host learns
// of it at the next Sync. To look at each index before the operation would make
// the host wait for the device, which holds them.
// The first fault stays: check_index writes only where operation is 0, and the device is of no use
// after it.
type fault struct {
	// Four i32, operation, row, index, limit, all 0 while nothing is wrong, and one
	// more, in which cross_entropy repeats what check_index has found.
	dev  driver.Ptr
	host []byte // page-locked
}

// Operations that check indices, numbered from 1.
var indexed = [...]string{"", "gather_rows", "scatter_rows", "scatter_add_rows", "linear_ce"}

const (
	gatherOp = 1 + iota
	scatterOp
	scatterAddOp
	crossEntropyOp
)

// faultBytes is what the host fetches, the first four numbers.
const faultBytes = 16

func (b *Device) newFault() (*fault, error) {
	f := &fault{}
	var err error
	if f.host, err = b.dev.HostAlloc(faultBytes); err != nil {
		return nil, err
	}
	if f.dev, err = b.allocate(backend.Workspace, faultBytes+4); err != nil {
		return f, err
	}
	return f, b.stream.Zero(f.dev, faultBytes+4)
}

func (f *fault) close(b *Device, note func(error)) {
	if f.dev != 0 {
		b.release(f.dev)
	}
	note(b.dev.HostFree(f.host))
}

// checkIndex queues the check of a column of indices.
// lowest and limit bound the indices that are right, limit excluded.
func (b *Device) checkIndex(op int, idx operand, lowest, limit int) {
	if idx.rows == 0 || b.Err() != nil {
		return
	}
	b.begin().ptr(b.fault.dev).i32(op).ptr(idx.ptr).i64(idx.stride).i32(lowest, limit).i64(idx.rows)
	b.launch("check_index", kernels.Single(256))
}

// fetch queues the copy of the report to the host.
func (f *fault) fetch(s *driver.Stream) error { return s.Download(f.host, f.dev) }

// read gives the error in a report that has arrived.
func (f *fault) read() error {
	v := unsafe.Slice((*int32)(unsafe.Pointer(unsafe.SliceData(f.host))), 4)
	op, row, index, limit := int(v[0]), int(v[1]), int(v[2]), int(v[3])
	switch {
	case op == 0:
		return nil
	case op == crossEntropyOp:
		return backend.CheckTarget(row, index, limit)
	case op < len(indexed):
		return backend.CheckIndex(indexed[op], row, index, limit)
	}
	return fmt.Errorf("cuda: the device reports a fault of the unknown operation %d", op)
}
