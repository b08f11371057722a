// Package answer lets a model answer the questions of an evaluation, as eval asks
// them: prompts and pictures into tokens and pixels, greedy answers and likelihoods of
// options out of it, and the interventions under which a teacher is looked at. What
// cannot be asked is found before anything is (Items, Answerer.Prompts). Begin to
// read with Answerer.
package answer
