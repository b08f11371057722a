// Package imaging turns picture files into what vision towers read: decoding,
// resizing and the image processors of preprocessor_config.json, to the value
// of the reference library's.
package imaging
