// Package ask puts prompts and pictures to a model folder and reads what comes
// back: the model's tokens, its answers, its logits and gradients. Training and
// evaluation read samples through it too.
package ask
