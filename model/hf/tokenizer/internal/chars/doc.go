// Package chars knows characters as the reference library (tokenizers 0.23) knows
// them: which are letters, digits, marks and words to its parts, each of which is
// built on another version of Unicode, and the printable characters that byte-level
// models write for bytes. unicode.go lists how those versions differ from Go's.
package chars
