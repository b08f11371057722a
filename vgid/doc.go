// Package vgid makes a vision-language model forget: Visual-Noise Guided
// In-Context Distillation (arXiv 2606.00105).
//
// The frozen base model is shown a noised image and an unlearning instruction
// prepended to the question; its distribution over the response is what the
// student, who sees the clean image and the plain question, is distilled to on
// the forget set. On the retain set the student is held to the undisturbed
// base:
//
//	L = α·E_forget KL( p₀(·| noise(I), u ⊕ q) ‖ p(·| I, q) ) + β·E_retain KL( p₀(·| I, q) ‖ p(·| I, q) )
//
// The way of a step: a Source draws the global batch, the same on every
// worker; each worker takes its share (Shard), turns samples into token
// sequences (Encoder), runs an Objective, and reduces gradients with the
// others while the backward pass goes on (reducer).
package vgid
