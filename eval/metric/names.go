package metric

// The metrics, as they are spelled in files. Each is a mean over questions
// and lies in [0, 1].
const (
	ROUGE1                   = "rouge1" // F-measure, stemmed
	ROUGE2                   = "rouge2"
	ROUGEL                   = "rougeL"
	BLEU                     = "bleu"
	Cloze                    = "cloze"
	Classification           = "classification"
	ClassificationLikelihood = "classification_likelihood"
	ClassificationChance     = "classification_chance" // what picking an option blindly gives
)
