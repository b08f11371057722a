//go:build !race

package hf

const slow = false
