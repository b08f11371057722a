package main

import (
	"os"

	"github.com/urfave/cli/v2"

	"vgid/model/cpu"
	"vgid/model/hub"
	"vgid/vgid/quickstart"
)

// modelUsage is what modelFolder takes.
const modelUsage = "`FOLDER` of the model, its ORG/NAME on the hub, or " + quickstart.Builtin

// modelFolder is the folder a flag names: a path, ORG/NAME[@REVISION], which is
// fetched from the hub, or a built-in model, which is written to a folder that
// lasts as long as the command.
func modelFolder(c *cli.Context, flag string) (string, error) { return folderOf(c, flag, hub.Whole) }

// tokenizerFolder is modelFolder for those who need no weights.
func tokenizerFolder(c *cli.Context, flag string) (string, error) {
	return folderOf(c, flag, hub.Tokenizer)
}

// Progress of a download goes to standard error. A built-in model is written anew at each call, so that
// none can be left over from another version of the program.
func folderOf(c *cli.Context, flag string, part hub.Part) (string, error) {
	ref := c.String(flag)
	name, write, err := quickstart.Find(ref)
	switch {
	case err != nil:
		return "", errorf(c, "--%s: %w", flag, err)
	case name == "":
		return hub.Folder(c.Context, ref, part, os.Stderr)
	}
	dir, err := os.MkdirTemp("", "vgid-")
	if err != nil {
		return "", err
	}
	scratch = append(scratch, dir)
	be := cpu.New(0)
	defer be.Close()
	return dir, write(be, dir, 0)
}

// scratch are folders that go with the process, before any of whose ends
// removeScratch is called.
var scratch []string

func removeScratch() {
	for _, dir := range scratch {
		os.RemoveAll(dir) // what is left there takes room and does no harm
	}
	scratch = nil
}
