# make run    the main job: a small model learns sixty people and forgets six
# make test   every test, under the race detector
# make fuzz   every fuzz target of the collectives in turn, FUZZTIME (10s, or 100000x) each
# make quick  the shorter tests; says what it leaves out
# make simulate SCHEDULES=1000000   communicators in virtual time, with faults drawn from seeds
# make lint   gofmt, vet, the linters of .golangci.yaml, the documents
# make notice the licences of the linked modules, into docs/NOTICE
# make ptx    compile the CUDA kernels again; needs clang-19, nothing of NVIDIA
# make cuda   the commands with the GPU backend, in bin/cuda; needs a C compiler
# make gpu-check   on a machine with a GPU: selftest and benches, into runs/gpu-check.txt
# make base   train the quickstart's base model again (about ten minutes)

GO ?= go
LDFLAGS := -s -w
# The default build is pure Go: one static binary that runs anywhere.
export CGO_ENABLED = 0

.PHONY: run test test-simulated simulate quick fuzz fmt lint notice licences gpu-check build cuda ptx base clean
run: build
	bin/vgid-launch --nodes 2 --local -- bin/vgid run --config quickstart

build:
	@mkdir -p bin
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

# The headers are the project's own and the driver is opened when it is asked
# for: nothing of NVIDIA's is needed to build, or to start.
CUDA_ENV = CGO_ENABLED=1 CGO_CFLAGS='-O2 -g -I$(CURDIR)/model/cuda/internal/driver/include'
cuda:
	@mkdir -p bin/cuda
	$(CUDA_ENV) $(GO) build -trimpath -tags cuda -ldflags '$(LDFLAGS)' -o bin/cuda/ ./cmd/...

# The slowest packages first: packages begin in the order of the list, and one of a
# minute that begins last leaves the other cores idle.
FIRST = ./vgid/run ./cmd/vgid ./model/cpu ./vgid/people ./model
# Packages whose code starts no goroutine; their tests at most run beside each other.
# There the race detector has next to nothing to see, and makes a harness, the kernels'
# C++ or a scan of all of Unicode many times slower. The goroutines of a simulation run
# one after another, whatever their code does.
PLAIN = ./collective/simulate ./model/cuda/internal/kernels ./model/backend/compliance ./model/hf/tokenizer/internal/pipeline
# At its end a process under the race detector waits a second for what still runs, to
# see it race. A hundred test binaries and the workers that they start have waited for
# their goroutines by then.
RACE = CGO_ENABLED=1 GORACE="atexit_sleep_ms=50 $$GORACE"
# The race detector needs a C compiler; without one the tests run plain, and
# say so. What vet has read need not be read again by each test (-vet=off); with
# -race it compiles what the tests then use.
test: fmt
	@if command -v cc >/dev/null 2>&1; then \
		set -e; export $(RACE); \
		echo '$(GO) vet -race ./...'; $(GO) vet -race ./...; \
		$(GO) test -vet=off -timeout 15m $(PLAIN); \
		raced=$$($(GO) list ./... | grep -vxF "$$($(GO) list $(PLAIN))"); \
		$(GO) test -race -vet=off -timeout 15m $(FIRST) $$raced; \
	else \
		echo 'make test: NO C COMPILER FOUND, RUNNING WITHOUT THE RACE DETECTOR'; \
		$(GO) vet ./... && $(GO) test -vet=off -timeout 15m $(FIRST) ./...; \
	fi
	@$(MAKE) --no-print-directory test-simulated

# A minute of processor time, once built: no race detector, no simulated device,
# no vet, and of the tests those that are not skipped with -short. The end of the
# output lists the others. Binaries without debug information are linked sooner.
quick:
	@$(GO) test -short -v -vet=off -ldflags='-s -w' -p 4 ./... 2>&1 | awk -f .ci/quick.awk

# What reads bytes of other ranks: headers of frames and of HTTP/2, notices, proofs.
FUZZTIME = 10s
FUZZ = ./collective/...
fuzz:
	@GO='$(GO)' .ci/fuzz $(FUZZTIME) $(FUZZ)

# One core; several of these with other seeds use more.
SCHEDULES = 100000
SEED = 1
simulate:
	$(GO) test ./collective/simulate -v -count 1 -timeout 0 -run TestSchedules -schedules $(SCHEDULES) -seed $(SEED)

fmt:
	@files=$$(gofmt -l cmd collective docs eval launch model vgid); \
	test -z "$$files" || { echo "$$files"; echo 'run gofmt -w on the files above'; exit 1; }

# The linters in one program, at a fixed version: a newer one finds other things.
# The files with the build tag cuda need a C compiler.
LINTER = .cache/bin/golangci-lint-v2.15.0
$(LINTER):
	GOBIN=$(CURDIR)/.cache/bin $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(subst .cache/bin/golangci-lint-,,$@)
	@mv .cache/bin/golangci-lint $@
lint: fmt $(LINTER)
	$(GO) vet ./...
	$(LINTER) run ./...
	@if command -v cc >/dev/null 2>&1; then \
		echo '$(LINTER) run --build-tags cuda ./model/cuda/...'; \
		$(CUDA_ENV) $(LINTER) run --build-tags cuda ./model/cuda/...; \
	else echo 'make lint: NO C COMPILER FOUND, THE FILES WITH THE TAG cuda ARE NOT LOOKED AT'; fi
	$(GO) test ./docs/...

# The licences of what the binaries are linked with: a list, and the full texts,
# which whoever passes the binaries on has to pass on with them.
notice:
	$(GO) run ./docs/licences > docs/NOTICE.new && mv docs/NOTICE.new docs/NOTICE
licences:
	@mkdir -p bin/licences
	$(GO) run ./docs/licences -texts bin/licences

# The GPU backend on the simulated device: a fake driver that runs the CUDA
# kernels on the host. What that shows is in docs/cuda.md.
SIMULATED = ./model ./model/plan ./model/cuda ./model/cuda/internal/driver ./model/cuda/internal/upload ./vgid/... ./cmd/vgid
# Of these, what the race detector looks at as well: one operation of the suite,
# the queues, and VGID on two workers whose gradients are reduced while backward
# goes on. It sees the Go side.
RACED = -run '^Test(Uploads|Operations|FreeBytes|Launch|EventsOrderStreams|Unlearn|ComplianceSimulated).*/(attention|buffer)' \
	./model/cuda ./model/cuda/internal/driver ./vgid/run
test-simulated:
	@if ! command -v cc >/dev/null 2>&1 || ! command -v g++ >/dev/null 2>&1 || [ "$$(uname -sm)" != 'Linux x86_64' ]; then \
		echo 'make test: NO C AND C++ COMPILER ON x86-64 LINUX, THE SIMULATED DEVICE IS NOT TESTED'; \
	else \
		echo 'simulated device: vet and tests with -tags cuda'; \
		$(CUDA_ENV) $(GO) vet -tags cuda ./model ./model/plan ./model/cuda/... ./vgid/... ./cmd/... && \
		$(CUDA_ENV) $(GO) test -vet=off -tags cuda -timeout 10m -run 'Simulated|Load|Launch|Events|Graph|Peer|Fault|Refus' $(SIMULATED) && \
		echo 'simulated device: a part of them under the race detector' && \
		$(RACE) $(CUDA_ENV) $(GO) test -race -vet=off -tags cuda -timeout 5m $(RACED); \
	fi

# PyTorch's side of the benches, where there is one.
PEER = $(shell python3 -c 'import torch, transformers, peft' 2>/dev/null && echo --python python3)
# What a person with a card runs: is everything right, and how fast is it? With
# GPU_SHAPE=tiny it can be tried on the simulated device.
GPU_SHAPE = llava-7b
SANITIZER = $(shell command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null)
gpu-check: cuda
	@mkdir -p runs
	@( nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv 2>/dev/null || echo 'no nvidia-smi'; \
	  bin/cuda/vgid selftest --device cuda --rounds 20 --steps 20 || echo 'selftest: FAILED'; \
	  if [ -n '$(SANITIZER)' ]; then \
	    $(SANITIZER) --error-exitcode 1 bin/cuda/vgid selftest --device cuda --rounds 1 --steps 2 --large=false || echo 'compute-sanitizer: FAILED'; \
	  else echo 'no compute-sanitizer: memory accesses were not checked'; fi; \
	  bin/cuda/vgid bench step --device cuda || echo 'bench step: FAILED'; \
	  for step in train vgid; do \
	    bin/cuda/vgid bench step --device cuda --shape $(GPU_SHAPE) --step $$step $(PEER) || echo "bench step $$step: FAILED"; \
	  done ) 2>&1 | tee runs/gpu-check.txt; \
	echo 'gpu-check: the table is in runs/gpu-check.txt'; \
	! grep -q FAILED runs/gpu-check.txt

ptx:
	model/cuda/internal/kernels/build.sh

base: build
	bin/vgid-launch --nodes 2 --local -- bin/vgid train base --config base-see
	bin/vgid-launch --nodes 2 --local -- bin/vgid train base --config base-know
	rm -rf vgid/quickstart/base
	cp -r runs/base-know/base/model vgid/quickstart/base

clean:
	rm -rf bin .cache
