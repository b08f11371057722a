#!/usr/bin/env bash
# github.com/parquet-go/parquet-go v0.32.0: a column of half-precision floats is read into a float32 field as the number
# that its bits are, and a large uint32 into a 64-bit field with its sign bit spread.
#
# Parquet keeps a half as 2 bytes and a uint32 as an INT32, and says in the logical type what they are. When a Go field is
# of another width than the column, the library converts without an error and without a look at that type: 1.5 comes back
# as 2.2e-41, and 4294967295 as 18446744073709551615 in a uint64 and as -1 in a float64. One would expect the value, as
# pyarrow gives it, or an error. Fields of the stored width ([2]byte, uint32) are right, and so are uint8 and uint16 in any
# integer field, since their highest bit is not the stored sign.
# Features of pictures and embeddings are kept as halves to save space: read so, they are all but zero, squares of them
# are zero, and whatever searches or trains on them goes on. Hashes and seeds of rows are uint32.
#
# Seen (a file of pyarrow 26.0.1): see EXPECTED below. Exit status 0 while this is so, 1 when it has changed. Needs Go too.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/env"
"$tmp/env/bin/pip" install -q pyarrow==26.0.1
cd "$tmp"
cat > write.py <<'PY'
import pyarrow as pa
import pyarrow.parquet as pq

table = pa.table({"half": pa.array([1.5, -2.0], pa.float16()), "features": pa.array([[1.0, 0.5], [0.25]], pa.list_(pa.float16())),
                  "hash": pa.array([4294967295, 7], pa.uint32()), "grey": pa.array([200, 7], pa.uint8())})
pq.write_table(table, "a.parquet")
print("pyarrow:", pq.read_table("a.parquet").to_pylist())
PY
cat > go.mod <<'MOD'
module finding

go 1.24

require github.com/parquet-go/parquet-go v0.32.0
MOD
cat > main.go <<'GO'
package main

import (
	"fmt"

	"github.com/parquet-go/parquet-go"
)

func read[T any](name string) {
	rows, err := parquet.ReadFile[T]("a.parquet")
	fmt.Printf("%s: %+v %v\n", name, rows, err)
}

func main() {
	read[struct {
		Half     float32   `parquet:"half"`
		Features []float32 `parquet:"features,list"`
	}]("into float32")
	read[struct {
		Half [2]byte `parquet:"half"`
	}]("into two bytes")
	read[struct {
		Hash uint64 `parquet:"hash"`
		Grey uint64 `parquet:"grey"`
	}]("into uint64")
	read[struct {
		Hash float64 `parquet:"hash"`
		Grey float64 `parquet:"grey"`
	}]("into float64")
	read[struct {
		Hash uint32 `parquet:"hash"`
		Grey uint8  `parquet:"grey"`
	}]("into uint32 and uint8")
}
GO
go mod tidy > /dev/null 2>&1
cat > expected <<'EXPECTED'
pyarrow: [{'half': 1.5, 'features': [1.0, 0.5], 'hash': 4294967295, 'grey': 200}, {'half': -2.0, 'features': [0.25], 'hash': 7, 'grey': 7}]
into float32: [{Half:2.2241e-41 Features:[2.1524e-41 2.0089e-41]} {Half:6.8877e-41 Features:[1.8654e-41]}] <nil>
into two bytes: [{Half:[0 62]} {Half:[0 192]}] <nil>
into uint64: [{Hash:18446744073709551615 Grey:200} {Hash:7 Grey:7}] <nil>
into float64: [{Hash:-1 Grey:200} {Hash:7 Grey:7}] <nil>
into uint32 and uint8: [{Hash:4294967295 Grey:200} {Hash:7 Grey:7}] <nil>
EXPECTED
(env/bin/python write.py; go run .) | tee seen
diff expected seen && echo 'as stated'
