// Package train changes the weights of a vision-language model, step by step and
// on any number of workers: plain fine-tuning, and what it is here for, Visual-Noise
// Guided In-Context Distillation (VGID, arXiv 2606.00105), which makes a model
// forget. It knows nothing of runs, stages and folders: vgid/run does.
//
// VGID in two sentences.
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
// others while the backward pass goes on (reducer). Begin to read with Trainer.Step,
// then Distill.
package train
