// Package fingerprint tells what is in the files that the ranks of a run read, and
// refuses ranks that read other files than rank 0.
//
// A model of 14 GB takes a minute to read, so no file is read for its SHA-256 that
// has been read before, and of ranks that see the same file one reads it; what tells
// that a file is the same without reading it is origin.ID. Begin to read with
// Files.Agree.
package fingerprint
