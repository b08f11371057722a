package formats

import (
	"vgid/eval/dataset"
	"vgid/eval/mllmu"
)

func init() {
	Register(Format{
		Name: "MLLMU-Bench (parquet)",
		Find: func(dir string) (dataset.Folder, error) { return mllmu.Find(dir) },
	})
}
