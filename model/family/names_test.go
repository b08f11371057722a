package family_test

import (
	"testing"

	"vgid/model/family"
)

// Every weight has one name of ours, found again from the path in memory.
func TestNamesLeadBack(t *testing.T) {
	for _, text := range []string{`{"model_type":"llava","text_config":{"vocab_size":32064}}`, qwen2Released, qwen25Released} {
		c, err := family.ParseConfig([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		_, d, err := c.Family.Declare(c)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, w := range d.Weights {
			if own := c.Family.DiskName(w.Name); own != w.Name {
				t.Errorf("%s: %s is called %s on disk", c.Type, w.Name, own)
			}
			memory := c.Family.MemoryName(w.Name)
			if own := c.Family.DiskName(memory); own != w.Name {
				t.Errorf("%s: %s is %s in memory, which leads back to %s", c.Type, w.Name, memory, own)
			}
			if seen[memory] {
				t.Errorf("%s: two weights are %s in memory", c.Type, memory)
			}
			seen[memory] = true
		}
		if head := c.Family.HeadName(); !c.Text.TieEmbeddings && !seen[c.Family.MemoryName(head)] {
			t.Errorf("%s: no weight is the head %s", c.Type, head)
		}
		if len(d.Weights) < 300 {
			t.Errorf("%s: only %d weights", c.Type, len(d.Weights))
		}
	}
}
