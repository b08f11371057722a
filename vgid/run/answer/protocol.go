package answer

import (
	"vgid/eval"
	"vgid/vgid/config"
)

// Protocol is the configured evaluation protocol in the turns of a prompt, which are
// the configuration's own or those of a folder's chat template (Encoder.Templates).
func Protocol(c config.Eval, prompt config.Prompt, seed uint64) (eval.Protocol, error) {
	chat := eval.Chat{Image: prompt.Template, Text: prompt.Text}
	// The default turn is LLaVA's but for spaces, which the benchmark's script writes otherwise
	// from prompt to prompt: only then are its prompts taken byte for byte.
	if c.Prompts == "mllmu" && prompt == config.Default().Prompt {
		chat = eval.LLaVAChat
	}
	p, err := eval.NewProtocol(c.Prompts, chat, seed)
	if err != nil {
		return p, err
	}
	p.ShotsClassification, p.ShotsCloze, p.MaxNew = c.ShotsClass, c.ShotsCloze, c.MaxNew
	p.Score, p.Likelihood = eval.ClassificationScore(c.Classification), c.Likelihood
	for _, key := range c.Modalities {
		m, err := eval.ParseModality(key)
		if err != nil {
			return p, err
		}
		p.Modalities = append(p.Modalities, m)
	}
	return p, p.Validate()
}
