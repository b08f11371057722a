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
// The way of a step: the objective draws this worker's share of a batch that is the
// same for all (Objective.Draw); the share becomes token sequences with the rows that
// have a loss (Encoder, Batch); a pass records the loss, and gradients are reduced
// with the other workers while the backward pass goes on (reducer). A Method is what
// makes an objective of a configuration: VGID is one of them.
//
// Begin to read with Trainer.update, then graddiff.go, the smallest method, and
// distill.go, which is VGID.
package train
