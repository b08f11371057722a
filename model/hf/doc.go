// Package hf reads and writes the files of a Hugging Face model folder:
// safetensors weights, PEFT adapter files and generation_config.json; tokenizer
// and imaging below it read the others.
//
// It knows files only: no tensors on devices, no model families. Every error
// is one line that names the file and the field, tensor or record at fault.
package hf
