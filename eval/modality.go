package eval

import (
	"fmt"

	"vgid/eval/dataset"
)

// ModalityKey is the name of a modality in the configuration and in
// summary.json: image_text or text.
func ModalityKey(m dataset.Modality) string {
	if m == dataset.Text {
		return "text"
	}
	return "image_text"
}

// ModalityKeys are the names of all modalities in the order they are shown.
var ModalityKeys = []string{"image_text", "text"}

// ParseModality is the inverse of ModalityKey.
func ParseModality(key string) (dataset.Modality, error) {
	switch key {
	case "image_text":
		return dataset.ImageText, nil
	case "text":
		return dataset.Text, nil
	}
	return "", fmt.Errorf("eval.modalities: %q; take image_text or text", key)
}
