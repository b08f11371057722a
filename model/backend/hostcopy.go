package backend

// HostCopy is the twin of a tensor, used by the goroutine that uses the backend.
type HostCopy interface {
	// Values is the twin.
	Values() []float32
	// Fetch queues the copy of the tensor, as the operations queued so far leave
	// it, and returns at once. Later operations run beside the copy and must not
	// write to the tensor until Wait has returned.
	Fetch()
	// Arrived reports, without waiting, whether the last Fetch has arrived.
	Arrived() bool
	// Wait returns when it has.
	Wait() error
	// Store queues the copy of the twin to the tensor, for operations queued
	// afterwards. The twin must stay as it is until the next Sync.
	Store()
	Free()
}
