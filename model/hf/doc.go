// Package hf reads and writes the files of a Hugging Face model folder:
// safetensors weights, tokenizer.json, preprocessor_config.json, PEFT adapter
// files, generation_config.json and chat templates.
//
// It knows files only: no tensors on devices, no model families. Every error
// is one line that names the file and the field, tensor or record at fault.
package hf
