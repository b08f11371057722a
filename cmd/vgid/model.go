package main

import (
	"os"

	"github.com/urfave/cli/v2"

	"vgid/model/hub"
)

// modelFolder is the folder a flag names: a path, or ORG/NAME[@REVISION], which
// is fetched from the hub.
func modelFolder(c *cli.Context, flag string) (string, error) {
	return hub.Folder(c.Context, c.String(flag), hub.Whole, os.Stderr)
}

// tokenizerFolder is modelFolder for those who need no weights.
func tokenizerFolder(c *cli.Context, flag string) (string, error) {
	return hub.Folder(c.Context, c.String(flag), hub.Tokenizer, os.Stderr)
}
