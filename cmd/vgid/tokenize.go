package main

import (
	"io"
	"os"

	"github.com/urfave/cli/v2"

	"vgid/model/hf/tokenizer"
)

func tokenizeCommand() *cli.Command {
	return &cli.Command{
		Name: "tokenize", Usage: "turn lines of JSON strings into lines of id lists, or back",
		Description: `Reads one JSON string a line, such as "a text\n", and writes its ids, such as [5,17,2].
With --decode it reads lists of ids and writes JSON strings.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "model", Usage: "`FOLDER` with tokenizer.json, or its ORG/NAME on the hub"},
			&cli.StringFlag{Name: "in", Usage: "`FILE` to read; standard input without it"},
			&cli.BoolFlag{Name: "decode", Usage: "from ids to texts"},
			&cli.BoolFlag{Name: "no-special", Usage: "without the tokens put around a text; with --decode, leave special tokens out"},
		},
		Action: func(c *cli.Context) error {
			if err := noArgs(c); err != nil {
				return err
			}
			if err := need(c, "model"); err != nil {
				return err
			}
			dir, err := tokenizerFolder(c, "model")
			if err != nil {
				return err
			}
			tok, err := tokenizer.Load(dir)
			if err != nil {
				return err
			}
			tell(tok.Notices())
			in, name := io.Reader(os.Stdin), "standard input"
			if path := c.String("in"); path != "" {
				f, err := os.Open(path)
				if err != nil {
					return err
				}
				defer f.Close()
				in, name = f, path
			}
			if c.Bool("decode") {
				return tok.DecodeLines(c.Context, in, os.Stdout, name, c.Bool("no-special"))
			}
			return tok.EncodeLines(c.Context, in, os.Stdout, name, !c.Bool("no-special"))
		},
	}
}
