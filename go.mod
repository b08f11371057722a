module vgid

go 1.26.0

require (
	github.com/cockroachdb/datadriven v1.0.3 // tests: transcripts that state machines replay (launch/view, launch/job)
	github.com/dlclark/regexp2 v1.12.0 // the look-ahead patterns of pre-tokenizers, which regexp refuses
	github.com/gofrs/flock v0.13.2 // locks of files and folders that other processes see (model/hub, vgid)
	github.com/google/licensecheck v0.3.1 // names the licences of linked modules (docs/licences)
	github.com/google/renameio/v2 v2.0.0 // files written to a temporary name, synced, renamed
	github.com/hashicorp/memberlist v0.7.0 // discovery of nodes (launch/discovery)
	github.com/parquet-go/parquet-go v0.32.0 // the benchmark's files (eval/mllmu)
	github.com/prometheus/client_golang v1.25.0 // metrics (vgid/monitor)
	github.com/rivo/uniseg v0.4.7 // user-perceived characters, which SentencePiece's normalizer replaces as a whole
	github.com/urfave/cli/v2 v2.27.7 // the commands
	go.uber.org/goleak v1.3.0 // tests: no goroutine outlives its owner
	go.yaml.in/yaml/v4 v4.0.0 // the configuration file
	golang.org/x/image v0.47.0 // WebP images; the rasteriser of the portraits
	golang.org/x/net v0.60.0 // HTTP/2 header compression (collective/wire/internal/h2)
	golang.org/x/sync v0.24.0 // errgroup in the benchmark builder
	golang.org/x/sys v0.49.0 // which instructions the CPU has; readv and writev
	golang.org/x/term v0.47.0 // whether a person watches
	golang.org/x/text v0.43.0 // Unicode normal forms of tokenizers and of file names
	google.golang.org/grpc v1.85.0 // the collectives' wire (collective/wire)
	gorgonia.org/cu v0.9.6 // the CUDA driver, with -tags cuda only (model/cuda/internal/driver)
	pgregory.net/rapid v1.3.0 // property tests
)

require (
	github.com/andybalholm/brotli v1.1.1 // indirect
	github.com/beorn7/perks v1.0.1 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/cpuguy83/go-md2man/v2 v2.0.7 // indirect
	github.com/google/btree v1.1.3 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/hashicorp/errwrap v1.1.0 // indirect
	github.com/hashicorp/go-immutable-radix v1.3.1 // indirect
	github.com/hashicorp/go-metrics v0.7.0 // indirect
	github.com/hashicorp/go-msgpack/v2 v2.1.5 // indirect
	github.com/hashicorp/go-multierror v1.1.1 // indirect
	github.com/hashicorp/go-sockaddr v1.0.7 // indirect
	github.com/hashicorp/golang-lru v1.0.2 // indirect
	github.com/klauspost/compress v1.20.1 // indirect
	github.com/miekg/dns v1.1.73 // indirect
	github.com/munnerz/goautoneg v0.0.0-20191010083416-a7dc8b61c822 // indirect
	github.com/parquet-go/bitpack v1.0.0 // indirect
	github.com/parquet-go/jsonlite v1.0.0 // indirect
	github.com/pierrec/lz4/v4 v4.1.21 // indirect
	github.com/pkg/errors v0.9.1 // indirect
	github.com/pmezard/go-difflib v1.0.0 // indirect
	github.com/prometheus/client_model v0.6.3 // indirect
	github.com/prometheus/common v0.72.0 // indirect
	github.com/prometheus/procfs v0.22.0 // indirect
	github.com/russross/blackfriday/v2 v2.1.0 // indirect
	github.com/sean-/seed v0.0.0-20170313163322-e2103e2c3529 // indirect
	github.com/twpayne/go-geom v1.6.1 // indirect
	github.com/xrash/smetrics v0.0.0-20240521201337-686a1a2994c1 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260817212433-ac3dfec99bb1 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)
