package backend

// Device is a machine that computes: what an implementation has to give. It is
// called through a Backend alone, which keeps three promises:
//
//   - an operation is called with arguments that fit: tensors that are given
//     where they must be, of this device, of the type and shape that the comment
//     on Operations says, in their buffers, sequences in range. What only the
//     device can see, such as the values of indices, it checks itself;
//   - nothing is called after a failure but Err, Free, FreeBytes and Close;
//   - nothing is called after Close but Err and Fail.
//
// Operations report no error: the device notes its failures by Fail, and the
// first one sticks. Embedding Failure gives Err and Fail.
type Device interface {
	Operations

	Name() string
	Traits() Traits

	// Alloc returns a zeroed buffer of n elements, n not negative and dt one of
	// the constants.
	Alloc(dt DType, n int) (Buffer, error)
	// Free takes back a buffer that Alloc or Adopt gave, once.
	Free(b Buffer)
	// Download waits for the queue and copies src into dst (row-major, dense).
	Download(dst []float32, src Tensor)
	DownloadInts(dst []int32, src Tensor)
	// Sync waits for every queued operation.
	Sync()
	// Close releases everything; its error is what could not be released.
	Close() error

	// Err is the first failure.
	Err() error
	// Fail makes an error the first failure, unless there was one or it is nil.
	Fail(err error)
}

// Traits are what a device can do and how it works, as far as its users do
// something else because of it. They take the place of asking which device it
// is: a second kind of GPU says what it is like here and nothing else changes.
type Traits struct {
	// Activations is the element type of activations and their gradients.
	Activations DType
	// Adopts: memory that exists already, such as a mapped file, can be the
	// device's own. The device is then an Adopter.
	Adopts bool
	// Overlaps: what the host prepares and fetches moves beside the operations,
	// so that it pays to keep two inputs and to reduce gradients during the
	// backward pass. The device is then a HostCopier.
	Overlaps bool
	// Workspace: operations take device memory for as long as they run, such as
	// for logits and operands in another type.
	Workspace bool
	// OnDemand: memory is taken when it is first written to, not when it is
	// allocated, as a system gives it to a process.
	OnDemand bool
	// Accounts: memory is counted by what it is for. The device is then an
	// Accountant.
	Accounts bool
	// Empty: the device keeps no contents, so nobody need read files for it.
	Empty bool
}

// Adopter is a device whose buffers can be memory that exists already.
type Adopter interface {
	// Adopt makes a buffer of b, which holds whole aligned elements of dt.
	Adopt(dt DType, b []byte) (Buffer, error)
}

// HostCopier is a device whose memory the host cannot reach and that copies in
// the background, so that gradients are reduced while the backward pass goes on.
type HostCopier interface {
	// NewHostCopy makes a twin of a dense F32 tensor.
	NewHostCopy(t Tensor) (HostCopy, error)
}

// HostMemory is a device whose buffers the host reads and writes in place, between
// operations.
type HostMemory interface {
	// Host is the memory of a dense F32 tensor.
	Host(t Tensor) []float32
}

// MemoryReporter is a device that knows how much memory it could still allocate.
type MemoryReporter interface {
	FreeBytes() (int64, error)
}

// Buffer is a contiguous piece of device memory owned by one Backend. Devices
// embed Storage in theirs.
type Buffer interface {
	DType() DType
	Len() int // elements
	storage() *Storage
}

// Storage is what a Backend knows of a buffer: its element type and length,
// whose it is, and whether it may be written to. It is filled in by NewStorage
// and then the Backend's alone.
type Storage struct {
	dt    DType
	n     int
	owner *checked
	lent  bool // adopted: memory of others, which is only read
	freed bool
}

// NewStorage is the storage of a buffer of n elements.
func NewStorage(dt DType, n int) Storage { return Storage{dt: dt, n: n} }

// DType is the element type.
func (s *Storage) DType() DType { return s.dt }

// Len is the number of elements, 0 after Free.
func (s *Storage) Len() int { return s.n }

func (s *Storage) storage() *Storage { return s }

// Failure keeps the first error of a device. Its zero value has none.
type Failure struct{ first error }

// Err is the first error.
func (f *Failure) Err() error { return f.first }

// Fail notes an error, unless there is one already.
func (f *Failure) Fail(err error) {
	if f.first == nil {
		f.first = err
	}
}
