#!/usr/bin/env bash
# github.com/parquet-go/parquet-go v0.32.0: lists whose elements are called "item" are read into a Go struct as lists of
# zero values, without an error.
#
# The Parquet specification names the three levels of a LIST, allows that files have other names and asks readers not to
# refuse them. Older versions of pyarrow and polars wrote "item", arrow-rs does, and pyarrow still can, so many data sets on
# hubs have it; pyarrow reads both alike. A field tagged `parquet:"x,list"` looks for "element": from the other file its
# strings come back empty, its numbers 0 and lists of structs empty. Lists of plain values even keep their length, which
# hides it. A column that is not found is no error in this library, so nothing tells such a file from an empty one.
# For benchmarks that keep questions, options and answers as lists, a trainer or scorer in Go then works on blanks:
# losses and scores are computed, and an empty answer matches an empty target.
#
# Seen (files of pyarrow 26.0.1): see EXPECTED below. Exit status 0 while this is so, 1 when it has changed. Needs Go too.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/env"
"$tmp/env/bin/pip" install -q pyarrow==26.0.1
cd "$tmp"
cat > write.py <<'PY'
import pyarrow as pa
import pyarrow.parquet as pq

table = pa.table({"id": ["a", "b"], "answers": [["x", "yy"], ["z"]], "scores": [[1.5, 2.5], [3.5]],
                  "options": [[{"letter": "A", "text": "one"}, {"letter": "B", "text": "two"}], [{"letter": "C", "text": "three"}]]})
pq.write_table(table, "element.parquet")
pq.write_table(table, "item.parquet", use_compliant_nested_type=False)
assert pq.read_table("element.parquet").to_pylist() == pq.read_table("item.parquet").to_pylist() == table.to_pylist()
PY
env/bin/python write.py
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

type option struct {
	Letter string `parquet:"letter"`
	Text   string `parquet:"text"`
}

type row struct {
	ID      string    `parquet:"id"`
	Answers []string  `parquet:"answers,list"`
	Scores  []float64 `parquet:"scores,list"`
	Options []option  `parquet:"options,list"`
}

func main() {
	for _, file := range []string{"element.parquet", "item.parquet"} {
		rows, err := parquet.ReadFile[row](file)
		fmt.Println(file, err)
		for _, r := range rows {
			fmt.Printf("  %s: answers %q, scores %v, options %q\n", r.ID, r.Answers, r.Scores, r.Options)
		}
	}
}
GO
go mod tidy > /dev/null 2>&1
cat > expected <<'EXPECTED'
element.parquet <nil>
  a: answers ["x" "yy"], scores [1.5 2.5], options [{"A" "one"} {"B" "two"}]
  b: answers ["z"], scores [3.5], options [{"C" "three"}]
item.parquet <nil>
  a: answers ["" ""], scores [0 0], options []
  b: answers [""], scores [0], options []
EXPECTED
go run . | tee seen
diff expected seen && echo 'as stated'
