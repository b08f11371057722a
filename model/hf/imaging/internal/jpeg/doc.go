// Package jpeg decodes JPEG files to the same bytes as libjpeg-turbo, which
// Pillow and with it every reference image processor reads pictures through.
//
// The standard library's decoder is as right as libjpeg-turbo's but not equal:
// JPEG leaves the rounding of the inverse transform and the way chroma is
// enlarged to the decoder. It repeats chroma samples where libjpeg-turbo
// interpolates, which for the usual 4:2:0 files moves single samples by up to a
// hundred levels. This package takes libjpeg-turbo's defaults: its accurate
// integer transform ("islow"), its triangle filter for chroma ("fancy
// upsampling"), its colour tables.
//
// Baseline, extended sequential and progressive Huffman files of 8 bits with 1,
// 3 or 4 components are decoded. Data that ends early is an error.
//
// Paragraphs and figures in comments are those of the standard, ITU-T T.81 |
// ISO/IEC 10918-1. Begin reading at decoder.run, which follows the markers of a file:
// frame, tables, scans; a scan fills planes (sequential) or coefficients
// (progressive), and picture makes pixels of them.
package jpeg
