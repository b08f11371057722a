package main

import (
	"encoding/json"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"vgid/cmd/vgid/internal/cmdline"
	"vgid/model/hf/tokenizer"
	"vgid/vgid/quickstart"
)

// tokenizeCommand works line by line, so that it can stand in a pipe: JSON in and JSON out keep newlines
// and other controls of a text in one line.
func tokenizeCommand() *cli.Command {
	return &cli.Command{
		Name: "tokenize", Usage: "turn texts into lists of ids, or back", ArgsUsage: "[TEXT …]",
		Description: `Writes the ids of each TEXT, such as [5,17,2], a line each. Without one it reads a JSON string a line,
such as "a text\n". With --decode it takes lists of ids and writes JSON strings.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "model", Usage: "`FOLDER` with tokenizer.json, its ORG/NAME on the hub, or " + quickstart.Builtin},
			&cli.StringFlag{Name: "in", Usage: "`FILE` to read; standard input without it"},
			&cli.BoolFlag{Name: "decode", Usage: "from ids to texts"},
			&cli.BoolFlag{Name: "no-special", Usage: "without the tokens put around a text; with --decode, leave special tokens out"},
		},
		Action: tokenize,
	}
}

// The parser of flags stops at the first argument, so a flag behind a text would be encoded as one; where
// that left --model unset, the error says so.
// Lines go through in chunks, so that any number of them can be piped.
func tokenize(c *cli.Context) error {
	if err := cmdline.Need(c, "model"); err != nil {
		for _, a := range c.Args().Slice() {
			if strings.HasPrefix(a, "--") {
				return cmdline.Errorf(c, "flags go before the text, and %s stands behind %q", a, c.Args().First())
			}
		}
		return err
	}
	if c.NArg() > 0 && c.IsSet("in") {
		return cmdline.Errorf(c, "--in and %q exclude each other: give one of them", c.Args().First())
	}
	dir, err := cmdline.TokenizerFolder(c, "model")
	if err != nil {
		return err
	}
	tok, err := tokenizer.Load(dir)
	if err != nil {
		return err
	}
	// On standard error, so that the lines of ids stay as many as the texts.
	cmdline.Tell(tok.Notices())
	in, name := io.Reader(os.Stdin), "standard input"
	if path := c.String("in"); path != "" {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		in, name = f, path
	}
	if c.NArg() > 0 {
		if in, err = argumentLines(c); err != nil {
			return err
		}
		name = "argument"
	}
	if c.Bool("decode") {
		return tok.DecodeLines(c.Context, in, os.Stdout, name, c.Bool("no-special"))
	}
	return tok.EncodeLines(c.Context, in, os.Stdout, name, !c.Bool("no-special"))
}

// argumentLines are the arguments as a file would have them.
// Texts become JSON strings, which is what lines are when ids are to be made of them; ids are JSON as they
// stand.
// There is one way to encode, from lines: arguments take it too, so that both give the same.
func argumentLines(c *cli.Context) (io.Reader, error) {
	var lines strings.Builder
	for i, a := range c.Args().Slice() {
		line := []byte(a)
		switch {
		case !utf8.ValidString(a):
			return nil, cmdline.Errorf(c, "argument %d is no UTF-8", i+1)
		case !c.Bool("decode"):
			var err error
			if line, err = json.Marshal(a); err != nil {
				return nil, err
			}
		case strings.ContainsAny(a, "\r\n"):
			return nil, cmdline.Errorf(c, "argument %d: give one list of ids in each, for example [1,2,3]", i+1)
		}
		lines.Write(append(line, '\n'))
	}
	return strings.NewReader(lines.String()), nil
}
