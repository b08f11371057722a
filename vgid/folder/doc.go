// Package folder works on model folders as they lie on disk: what is in one,
// what work on it takes, and an adapter merged into its weights.
package folder
