package mllmu

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"vgid/model/kit/plaintext"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// columnNames lists the top-level columns of a schema; what is below them is seen
// when a row is decoded, where an error can name the row.
// A column that is not known is no error: other programs may add some of their own.
func columnNames(s *parquet.Schema) []string {
	var names []string
	for _, f := range s.Fields() {
		names = append(names, f.Name())
	}
	return names
}

// readRows calls check with the file's columns and then row with every record,
// assembled by the file's own schema: list elements may be called element,
// item or array, which a reader driven by Go types would not accept. Values
// are string (for strings), []byte, int64, float64, bool, nil, []any and
// map[string]any; they stay valid after the call.
//
// check runs before any page is decoded, so that a file of other columns costs only
// its footer. An error of check or row ends the reading and is given as it is.
func readRows(path string, check func(columns []string) error, row func(n int, rec map[string]any) error) (err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: a link that leads nowhere, or removed meanwhile; fetch the file again", path)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	// The decoder indexes pages by what the file claims: a damaged file may
	// panic there, which is bad input and not a bug of the caller's.
	var inCallback bool
	defer func() {
		if p := recover(); p != nil {
			if inCallback {
				panic(p)
			}
			err = fmt.Errorf("%s: damaged parquet file (%v); fetch or build it again", path, p)
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if what := notParquet(f, info.Size()); what != "" {
		return fmt.Errorf("%s: not a readable parquet file: %s", path, what)
	}
	pf, err := parquet.OpenFile(f, info.Size(), parquet.SkipBloomFilters(true))
	if err != nil {
		return fmt.Errorf("%s: not a readable parquet file (%w); fetch or build it again", path, err)
	}
	if err := checkCodecs(pf); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := check(columnNames(pf.Schema())); err != nil {
		return err
	}
	leaves := len(pf.Schema().Columns())
	text := make([]string, leaves)
	textColumns(pf.Root(), "", text)
	n := 0
	record := func(r parquet.Row) error {
		columns := make([][]parquet.Value, leaves)
		r.Range(func(c int, v []parquet.Value) bool {
			columns[c] = v
			return true
		})
		if err := checkText(columns, text); err != nil {
			return fmt.Errorf("%s, row %d: %w", path, n, err)
		}
		rec, _ := assembleGroup(pf.Root(), columns, 0, 0).(map[string]any)
		inCallback = true
		if err := row(n, rec); err != nil {
			return err
		}
		inCallback = false // a panic from here on is the decoder's again
		n++
		return nil
	}
	for _, group := range pf.RowGroups() {
		bad, err := eachRow(group, record)
		if err != nil {
			return err
		}
		if bad != nil {
			return fmt.Errorf("%s, row %d: %w; fetch or build the file again", path, n, bad)
		}
	}
	return nil
}

// eachRow calls f with every row of a group. bad is what is wrong with the file,
// err what f returned.
func eachRow(group parquet.RowGroup, f func(parquet.Row) error) (bad, err error) {
	if group.NumRows() == 0 { // the reader cannot seek in a file that holds no page
		return nil, nil
	}
	rows := group.Rows()
	defer rows.Close()
	// A row holds a whole picture, so a few at a time are enough to keep the reader
	// busy and not so many that they fill the memory.
	buf := make([]parquet.Row, 8)
	for {
		k, bad := rows.ReadRows(buf)
		for _, r := range buf[:k] {
			if err := f(r); err != nil {
				return nil, err
			}
		}
		if errors.Is(bad, io.EOF) {
			return nil, nil
		}
		if bad != nil {
			return bad, nil
		}
	}
}

// checkCodecs refuses LZ4. The library keeps a page's old buffer when its LZ4
// decoder takes a new one, and so gives other bytes than the file's
// (parquet-go issue 608); on damaged input that decoder never ends.
func checkCodecs(f *parquet.File) error {
	for _, g := range f.Metadata().RowGroups {
		for _, c := range g.Columns {
			if codec := c.MetaData.Codec; codec == format.Lz4Raw {
				return fmt.Errorf("column %s is compressed with %s, which is not read; write the file again with snappy, zstd, gzip or brotli, or without compression",
					strings.Join(c.MetaData.PathInSchema, "."), codec)
			}
		}
	}
	return nil
}

// textColumns puts the path of every leaf that holds text into paths, by leaf.
// Leaves that hold no text keep the empty path.
func textColumns(node *parquet.Column, path string, paths []string) {
	if node.Leaf() {
		if isText(node) {
			paths[node.Index()] = path
		}
		return
	}
	for _, k := range node.Columns() {
		textColumns(k, strings.TrimPrefix(path+"."+k.Name(), "."), paths)
	}
}

// checkText refuses a row with text that is no UTF-8, which the format asks for
// and not every writer heeds.
// The row is refused and not repaired, since its text would be trained on as it is.
func checkText(columns [][]parquet.Value, paths []string) error {
	for c, path := range paths {
		if path == "" {
			continue
		}
		for _, v := range columns[c] {
			if v.IsNull() {
				continue
			}
			if err := plaintext.Check(v.ByteArray()); err != nil {
				return fmt.Errorf("column %s: %w", path, err)
			}
		}
	}
	return nil
}

// assemble rebuilds the value of node from its leaf columns, each holding the
// values of one occurrence of the parent (Melnik et al., Dremel, VLDB 2010).
// rep and def are the levels of the parent.
func assemble(node *parquet.Column, columns [][]parquet.Value, rep, def int) any {
	first := columns[firstLeaf(node)]
	if len(first) == 0 {
		return nil
	}
	switch {
	case node.Repeated():
		rep, def = rep+1, def+1
		list := []any{}
		if first[0].DefinitionLevel() < def {
			return list
		}
		// An element begins at each value of repetition level ≤ rep; of every leaf its values go
		// to that element, however many the leaf repeats inside it.
		lo, hi := firstLeaf(node), lastLeaf(node)
		at := make([]int, hi+1)
		for at[lo] < len(first) {
			part := make([][]parquet.Value, len(columns))
			for c := lo; c <= hi; c++ {
				end := at[c] + 1
				for end < len(columns[c]) && columns[c][end].RepetitionLevel() > rep {
					end++
				}
				if at[c] >= len(columns[c]) {
					return list
				}
				part[c] = columns[c][at[c]:end]
				at[c] = end
			}
			list = append(list, assembleGroup(node, part, rep, def))
		}
		return list
	case node.Optional():
		def++
		if first[0].DefinitionLevel() < def {
			return nil
		}
	}
	return assembleGroup(node, columns, rep, def)
}

// assembleGroup is assemble once the node itself is known to be present.
func assembleGroup(node *parquet.Column, columns [][]parquet.Value, rep, def int) any {
	if node.Leaf() {
		return leafValue(node, columns[node.Index()][0])
	}
	kids := node.Columns()
	if isList(node) {
		list, _ := assemble(kids[0], columns, rep, def).([]any)
		if inner := kids[0]; !inner.Leaf() && len(inner.Columns()) == 1 {
			// the three-level form: list.<element|item>
			name := inner.Columns()[0].Name()
			for i, v := range list {
				if m, ok := v.(map[string]any); ok {
					list[i] = m[name]
				}
			}
		}
		return list
	}
	m := make(map[string]any, len(kids))
	for _, k := range kids {
		m[k.Name()] = assemble(k, columns, rep, def)
	}
	return m
}

func isList(node *parquet.Column) bool {
	kids := node.Columns()
	if len(kids) != 1 || !kids[0].Repeated() {
		return false
	}
	if t := node.Type(); t != nil {
		if l := t.LogicalType(); l != nil {
			if _, ok := l.Value.(*format.ListType); ok {
				return true
			}
		}
	}
	// Writers before the logical type existed are known by the name alone.
	name := kids[0].Name()
	return name == "list" || name == "array" || name == "bag"
}

// Text becomes a string and other bytes []byte, by which decoding tells a path from a
// picture.
func leafValue(node *parquet.Column, v parquet.Value) any {
	if v.IsNull() {
		return nil
	}
	switch v.Kind() {
	case parquet.Boolean:
		return v.Boolean()
	case parquet.Int32:
		return int64(v.Int32())
	case parquet.Int64:
		return v.Int64()
	case parquet.Float:
		return float64(v.Float())
	case parquet.Double:
		return v.Double()
	}
	if isText(node) {
		return string(v.ByteArray())
	}
	return append([]byte(nil), v.ByteArray()...) // the page that it lies in is used again
}

// isText reports whether a leaf's bytes are text by the file's schema.
func isText(leaf *parquet.Column) bool {
	l := leaf.Type().LogicalType()
	if l == nil {
		return false
	}
	switch l.Value.(type) {
	case *format.StringType, *format.JsonType, *format.EnumType:
		return true
	}
	return false
}

// firstLeaf and lastLeaf are the columns that a node spans: leaves are numbered in
// the order of the schema, so that what lies between them is the node's.
func firstLeaf(node *parquet.Column) int {
	for !node.Leaf() {
		node = node.Columns()[0]
	}
	return node.Index()
}

func lastLeaf(node *parquet.Column) int {
	for !node.Leaf() {
		kids := node.Columns()
		node = kids[len(kids)-1]
	}
	return node.Index()
}
