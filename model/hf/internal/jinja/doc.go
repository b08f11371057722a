// Package jinja renders chat templates: the part of Jinja 2 that the templates
// of Hugging Face models use, with the settings of transformers (trim_blocks,
// lstrip_blocks, loop controls, generation blocks, its tojson).
//
// A template comes with a model somebody else made, so it is treated as such:
// it reaches no files, no other templates and no mutable state, and its steps,
// nesting and sizes are bounded. Whatever is outside the subset is an error
// that names it and the line.
//
// A template goes through lex.go (text and tags), parse.go and parseexpr.go
// (statements and expressions, in the grammar of jinja2/parser.py) and is run by
// stmt.go and expr.go. Values are Python's: what they print, how they compare and
// what their methods do is CPython's, because templates rely on it. The goldens in
// testdata are renderings of transformers itself.
package jinja
