package mllmu

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"vgid/model/kit/filekind"
)

// arrowHint says what to do with what datasets keeps on disk for itself.
const arrowHint = "these are Arrow files, as datasets' save_to_disk and its cache write them, not parquet; " +
	"write each set with load_from_disk(FOLDER).to_parquet('OUT/SET/train-00000-of-00001.parquet')"

// looksLike says what a folder without a set is instead, and what to do.
// It runs only after no set was found, so it may look at more of the disk than reading does.
func looksLike(dir string) string {
	l, err := look(dir)
	if err != nil {
		return err.Error()
	}
	if hasArrow(dir, l) {
		return arrowHint
	}
	if below := opensBelow(dir, l, 4); below != "" {
		return "the sets are further down: give " + below
	}
	if unfinished, _ := filepath.Glob(filepath.Join(dir, ".cache", "huggingface", "download", "*", "*.incomplete")); len(unfinished) > 0 {
		return "a download into it has not ended; begin it again, it goes on where it was"
	}
	hint := "run vgid data build, or give another folder"
	if all := slices.Concat(l.folders, l.others); len(all) > 0 {
		more := ""
		if len(all) > maxNamed {
			more = fmt.Sprintf(" and %d more", len(all)-maxNamed)
		}
		hint += "; it holds " + strings.Join(all[:min(len(all), maxNamed)], ", ") + more
	}
	return hint
}

// hasArrow knows save_to_disk by its files or by dataset_dict.json, whose splits are one folder
// down.
// dataset_dict.json is what datasets writes for a DatasetDict; a single Dataset has its
// .arrow files in the folder itself.
func hasArrow(dir string, l listing) bool {
	if len(l.arrow) > 0 || slices.Contains(l.others, "dataset_dict.json") {
		return true
	}
	return slices.ContainsFunc(l.folders, func(n string) bool {
		in, err := look(filepath.Join(dir, n))
		return err == nil && len(in.arrow) > 0
	})
}

// opensBelow is the first folder under dir that holds sets, as snapshots/REVISION
// of the hub's cache does.
// The depth is bounded, as a user may give a whole disk.
func opensBelow(dir string, l listing, depth int) string {
	for _, n := range l.folders {
		path := filepath.Join(dir, n)
		if found := (sets{}); found.container(path, true) == nil && len(found) > 0 {
			return path
		}
		if in, err := look(path); err == nil && depth > 1 {
			if below := opensBelow(path, in, depth-1); below != "" {
				return below
			}
		}
	}
	return ""
}

// notParquet tells what a file that should be parquet is instead, and what to
// do; "" when it begins and ends like parquet.
// parquet begins and ends with PAR1 (with PARE where the footer is encrypted): the footer at the
// end says what is inside, so that a file that was cut short has lost it.
func notParquet(f *os.File, size int64) string {
	if size == 0 {
		return "it is empty (0 bytes), as after a download that failed; fetch or build it again"
	}
	head := make([]byte, filekind.HeadLen)
	n, err := f.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return err.Error()
	}
	head = head[:n]
	tail := make([]byte, 4)
	// The shortest parquet file: PAR1, no data, the footer's length, PAR1.
	if size >= 12 {
		if _, err := f.ReadAt(tail, size-4); err != nil {
			return err.Error()
		}
	}
	is := func(s string) bool { return bytes.HasPrefix(head, []byte(s)) }
	if other := filekind.StandIn(head); other != "" {
		return "it is " + other
	}
	switch {
	case is("PARE"), bytes.Equal(tail, []byte("PARE")):
		return "it is encrypted, which is not read; write it again without encryption"
	case is("ARROW1"):
		return "it is an Arrow file; write it again with to_parquet"
	// gzip, zip and zstd around a whole file; parquet compresses its own pages.
	case is("\x1f\x8b"), is("PK\x03\x04"), is("\x28\xb5\x2f\xfd"):
		return "it is packed as a whole; unpack it first"
	case is("{"), is("["):
		return "it is JSON; fetch it again, or write it with to_parquet"
	case is("PAR1") && !bytes.Equal(tail, []byte("PAR1")):
		return "its end is missing; fetch or build it again"
	case !is("PAR1"):
		return fmt.Sprintf("it begins with %q; fetch or build it again", head[:min(len(head), 8)])
	}
	return ""
}
