//go:build cuda && cgo && linux

package driver

/*
#include <cuda.h>

static CUresult begin(CUcontext c, CUstream s) {
	CUresult r = cuCtxSetCurrent(c);
	return r ? r : cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_RELAXED);
}
static CUresult end(CUcontext c, CUstream s, CUgraphExec *x) {
	CUgraph g;
	CUresult r = cuCtxSetCurrent(c);
	if (!r) r = cuStreamEndCapture(s, &g);
	if (r) return r;
	r = cuGraphInstantiateWithFlags(x, g, 0);
	cuGraphDestroy(g);
	return r;
}
static CUresult replay(CUcontext c, CUgraphExec x, CUstream s) {
	CUresult r = cuCtxSetCurrent(c);
	return r ? r : cuGraphLaunch(x, s);
}
static CUresult drop(CUcontext c, CUgraphExec x) {
	CUresult r = cuCtxSetCurrent(c);
	return r ? r : cuGraphExecDestroy(x);
}
*/
import "C"

// Graph is recorded work that is queued again in one call.
type Graph struct {
	d *Device
	x C.CUgraphExec
}

// Capture records what f queues on the stream, which does not run it.
func (s *Stream) Capture(f func() error) (*Graph, error) {
	if err := check("cuStreamBeginCapture", C.begin(s.d.c(), s.c())); err != nil {
		return nil, err
	}
	failed := f()
	g := &Graph{d: s.d}
	if err := check("cuStreamEndCapture", C.end(s.d.c(), s.c(), &g.x)); failed == nil {
		failed = err
	}
	return g, failed
}

// Launch queues the recorded work.
func (g *Graph) Launch(s *Stream) error {
	return check("cuGraphLaunch", C.replay(g.d.c(), g.x, s.c()))
}

// Close frees the recording.
func (g *Graph) Close() error { return check("cuGraphExecDestroy", C.drop(g.d.c(), g.x)) }
