// Package people makes fictitious people: facts, faces, questions. It builds
// benchmarks of them or of given profiles, and the examples that the
// quickstart's base model is trained on.
//
// Everything random is a pure function of (seed, purpose, index): the same
// configuration gives the same bytes on any machine and in any order of calls.
package people
