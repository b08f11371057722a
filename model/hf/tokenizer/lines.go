package tokenizer

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"sync"

	"vgid/model/kit/plaintext"
)

// A chunk of lines is read, worked on in parallel and written in order.
// Both bounds hold: of short lines many make a chunk that is worth sharing out, of long ones few
// fill memory.
const (
	chunkLines = 4096
	chunkBytes = 4 << 20
)

// EncodeLines reads one JSON string a line and writes the list of its ids, one
// line each. name is what an error calls the input; it names the line too.
func (t *Tokenizer) EncodeLines(ctx context.Context, in io.Reader, out io.Writer, name string, addSpecial bool) error {
	return eachLine(ctx, in, out, name, func(dst, line []byte) ([]byte, error) {
		// Unmarshal would take null for "".
		var s *string
		if err := json.Unmarshal(line, &s); err != nil || s == nil {
			return nil, errors.New("not a JSON string; give one text a line, in double quotes and with its newlines as \\n")
		}
		if err := plaintext.CheckJSON(line); err != nil {
			return nil, err
		}
		dst = append(dst, '[')
		for i, id := range t.Encode(*s, addSpecial) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = strconv.AppendInt(dst, int64(id), 10)
		}
		return append(dst, ']', '\n'), nil
	})
}

// DecodeLines reads one JSON list of ids a line and writes their text, a JSON
// string a line.
func (t *Tokenizer) DecodeLines(ctx context.Context, in io.Reader, out io.Writer, name string, skipSpecial bool) error {
	return eachLine(ctx, in, out, name, func(dst, line []byte) ([]byte, error) {
		var ids *[]int32
		if err := json.Unmarshal(line, &ids); err != nil || ids == nil {
			return nil, errors.New("not a JSON list of ids; give for example [1,2,3]")
		}
		for _, id := range *ids {
			if t.Token(id) == "" {
				return nil, fmt.Errorf("id %d has no token; the vocabulary has ids below %d", id, t.Size())
			}
		}
		b := bytes.NewBuffer(dst)
		e := json.NewEncoder(b)
		// Python's json writes < and > as they are.
		e.SetEscapeHTML(false)
		err := e.Encode(t.Decode(*ids, skipSpecial))
		return b.Bytes(), err
	})
}

// eachLine writes what f appends for every line, in the order of the lines.
// Memory holds one chunk of lines and what is made of it, whatever the length of the input.
func eachLine(ctx context.Context, in io.Reader, out io.Writer, name string, f func(dst, line []byte) ([]byte, error)) error {
	r, w := bufio.NewReaderSize(in, 1<<20), bufio.NewWriterSize(out, 1<<20)
	for first := 1; ; {
		lines, readErr := readChunk(r)
		if readErr != nil && !errors.Is(readErr, io.EOF) {
			return fmt.Errorf("%s: %w", name, readErr)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		parts, bad, err := workOn(lines, f)
		for _, p := range parts {
			if _, err := w.Write(p); err != nil {
				return err
			}
		}
		if err != nil {
			// What came before the bad line is written.
			return errors.Join(fmt.Errorf("%s:%d: %w", name, first+bad, err), w.Flush())
		}
		first += len(lines)
		if errors.Is(readErr, io.EOF) {
			return w.Flush()
		}
	}
}

// readChunk reads up to a chunk of lines, without their newlines.
// A last line without a newline counts; the end of the input by itself is no line.
func readChunk(r *bufio.Reader) ([][]byte, error) {
	var lines [][]byte
	for size := 0; len(lines) < chunkLines && size < chunkBytes; {
		line, err := r.ReadBytes('\n')
		size += len(line)
		if err == nil || len(line) > 0 {
			lines = append(lines, bytes.TrimRight(line, "\r\n"))
		}
		if err != nil {
			return lines, err
		}
	}
	return lines, nil
}

// workOn gives what f makes of consecutive runs of lines, in order. On an
// error, parts end before the first bad line, whose index comes with it.
// Each worker takes runs of lines from a channel until it is empty; it writes to no place but its
// run's.
func workOn(lines [][]byte, f func(dst, line []byte) ([]byte, error)) (parts [][]byte, bad int, err error) {
	// More runs than workers: lines differ in length.
	workers := runtime.GOMAXPROCS(0)
	runs := min(len(lines), 8*workers)
	parts = make([][]byte, runs)
	type failure struct {
		line int
		err  error
	}
	fails := make([]failure, runs)
	var wg sync.WaitGroup
	next := make(chan int, runs)
	for i := range runs {
		next <- i
	}
	close(next)
	for range min(workers, runs) {
		wg.Go(func() {
			for i := range next {
				// Runs differ by a line at most, and cover all lines whatever their number.
				for k := i * len(lines) / runs; k < (i+1)*len(lines)/runs; k++ {
					p, err := f(parts[i], lines[k])
					if err != nil {
						fails[i] = failure{k, err}
						break
					}
					parts[i] = p
				}
			}
		})
	}
	wg.Wait()
	for i := range fails {
		if fails[i].err != nil {
			// Of several bad lines the first is named, so that the outcome does not depend on the
			// workers.
			return parts[:i+1], fails[i].line, fails[i].err
		}
	}
	return parts, 0, nil
}
